-- Adds a user. No row where the time zone is not in account.time_zone.
-- $1 user_id, $2 name, $3 time_zone.
-- Index: user_name_is_unique_while_active refuses a second active user of that name.
insert into account.user (user_id, name, time_zone)
select $1, $2, z.name
from account.time_zone z
where z.name = $3
