-- The settings that are off though durability needs them. No parameters. A catalogue read.
select name as "name!"
from pg_catalog.pg_settings
where name in ('fsync', 'full_page_writes') and setting <> 'on'
order by name
