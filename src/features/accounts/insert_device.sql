-- A new device.
-- $1 user_id, $2 device_id, $3 name, $4 platform.
-- Index: device_name_is_unique_while_active refuses a second active device of that name.
insert into account.device (user_id, device_id, name, platform)
values ($1, $2, $3, $4)
