-- Which of the database's processes works for whom.
select
    pid,
    coalesce(nullif(application_name, ''), backend_type, 'other') as work
from pg_catalog.pg_stat_activity
