-- Finds the settings of the database that durability needs and that are off.
-- No parameters. Index: none; a read of the catalogue.
select name as "name!"
from pg_catalog.pg_settings
where name in ('fsync', 'full_page_writes') and setting <> 'on'
order by name
