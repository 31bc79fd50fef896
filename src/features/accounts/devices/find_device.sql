-- Finds the active device of a user by its name.
-- $1 user_id, $2 name.
-- Index: device_name_is_unique_while_active.
select device_id from account.device where user_id = $1 and name = $2 and revoked_at is null
