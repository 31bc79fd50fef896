-- Removes the devices of a user who is being erased. Their tokens and codes are gone.
-- $1 user_id.
-- Index: device_pkey.
delete from account.device where user_id = $1
