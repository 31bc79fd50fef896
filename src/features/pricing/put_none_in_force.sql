-- Puts no book in force, as before the first one was.
-- No parameters. Index: none; there is one row at most.
delete from price.in_force
