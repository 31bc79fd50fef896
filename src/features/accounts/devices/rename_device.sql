-- Gives a device of a user another name, be it revoked or not.
-- $1 user_id, $2 device_id, $3 name.
-- Index: device_pkey; device_name_is_unique_while_active refuses the name of another active device.
update account.device
set name = $3
where user_id = $1 and device_id = $2
