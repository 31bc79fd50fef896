-- Finds out of two devices which the user has, and whether they are revoked.
-- $1 user_id, $2 device_ids.
-- Index: device_pkey.
select device_id, revoked_at is not null as "is_revoked!"
from account.device
where user_id = $1 and device_id = any($2::uuid[])
