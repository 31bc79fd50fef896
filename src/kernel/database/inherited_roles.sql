-- Finds the working roles whose rights the login has without becoming them. A superuser has all rights
-- anyway, and is left out.
-- No parameters. Index: none; a read of the catalogue.
select r.rolname::text as "rolname!"
from pg_catalog.pg_roles r
join pg_catalog.pg_roles login on login.rolname = session_user and not login.rolsuper
where r.rolname in ('halfhour_api', 'halfhour_worker', 'halfhour_auth', 'halfhour_none')
  and pg_catalog.pg_has_role(login.oid, r.oid, 'usage')
order by r.rolname
