-- Finds the working roles that row-level security does not bind.
-- No parameters. Index: none; a read of the catalogue.
select rolname::text as "rolname!"
from pg_catalog.pg_roles
where rolname in ('halfhour_api', 'halfhour_worker', 'halfhour_auth', 'halfhour_none')
  and (rolsuper or rolbypassrls)
order by rolname
