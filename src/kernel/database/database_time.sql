-- Reads the database's clock.
-- No parameters. Index: none; reads no table.
select clock_timestamp() as "now!"
