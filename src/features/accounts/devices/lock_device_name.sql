-- Reads the name of a user's device, and locks the device until the transaction ends, so that two who give it another name
-- take their turns.
-- $1 user_id, $2 device_id.
-- Index: device_pkey.
select name
from account.device
where user_id = $1 and device_id = $2
for no key update
