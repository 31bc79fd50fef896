-- Reads whose usage it is, and whether there is any.
-- $1 user_id, $2 device_id or null for all devices.
-- Index: user_pkey, bucket_pkey.
select
    u.name,
    exists (
        select from usage.bucket b where b.user_id = $1 and ($2::uuid is null or b.device_id = $2::uuid)
    ) as "has_any_data!"
from account.user u
where u.user_id = $1
