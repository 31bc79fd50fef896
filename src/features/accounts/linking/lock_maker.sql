-- Locks a user until the transaction ends, so that two makers of link codes take their turns and each counts those of
-- the other.
-- $1 user_id.
-- Index: user_pkey.
select user_id from account.user where user_id = $1 for no key update
