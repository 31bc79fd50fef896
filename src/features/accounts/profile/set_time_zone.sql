-- Sets a user's time zone. No row where the zone is not in account.time_zone.
-- $1 user_id, $2 time_zone.
-- Index: user_pkey.
update account.user u
set time_zone = z.name
from account.time_zone z
where u.user_id = $1 and z.name = $2
