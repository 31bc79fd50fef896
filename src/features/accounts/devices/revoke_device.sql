-- Revokes a device and its tokens for good. A device that was revoked before keeps its time. No row
-- where the user has no such device.
-- $1 user_id, $2 device_id.
-- Index: device_pkey, token_device_idx.
with revoked as (
    update account.device d
    set revoked_at = coalesce(d.revoked_at, transaction_timestamp())
    where d.user_id = $1 and d.device_id = $2
    returning d.user_id, d.device_id, d.revoked_at
),
token as (
    update account.token t
    set revoked_at = transaction_timestamp()
    from revoked r
    where t.user_id = r.user_id and t.device_id = r.device_id and t.revoked_at is null
)
select r.revoked_at as "revoked_at!", r.revoked_at = transaction_timestamp() as "changed!"
from revoked r
