-- Finds the active device of a user by its machine.
-- $1 user_id, $2 machine_hash.
-- Index: device_machine_is_unique_while_active.
select device_id from account.device where user_id = $1 and machine_hash = $2 and revoked_at is null
