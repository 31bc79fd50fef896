-- Adds a device. No row where the user has too many already.
-- $1 user_id, $2 device_id, $3 name, $4 platform, $5 limit: active devices that a user may have.
-- Index: device_name_is_unique_while_active for the count; it also refuses a second active device
-- of that name.
insert into account.device (user_id, device_id, name, platform)
select $1, $2, $3, $4
where (select count(*) from account.device d where d.user_id = $1 and d.revoked_at is null) < $5
