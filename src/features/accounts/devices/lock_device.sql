-- Reads whether a user's device is active, and locks it until the transaction ends, so that two
-- rotations take their turns.
-- $1 user_id, $2 device_id.
-- Index: device_pkey.
select revoked_at is null as "active!"
from account.device
where user_id = $1 and device_id = $2
for no key update
