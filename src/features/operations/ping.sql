-- Asks whether the database answers.
-- No parameters. Index: none; reads no table.
select 1 as "one!"
