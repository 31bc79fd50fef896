-- Lists the database's processes, each with what it works for.
-- No parameters.
select
    pid,
    coalesce(nullif(application_name, ''), backend_type, 'other') as work
from pg_catalog.pg_stat_activity
