-- Another time zone for a user; no row where the zone is not in pg_timezone_names.
-- $1 user_id, $2 time_zone.
-- Index: user_pkey.
update account.user u
set time_zone = z.name
from pg_catalog.pg_timezone_names z
where u.user_id = $1 and z.name = $2
