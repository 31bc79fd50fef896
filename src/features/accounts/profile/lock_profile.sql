-- Reads what a user sees of itself, and locks the user until the transaction ends, so that two
-- changes take their turns.
-- $1 user_id.
-- Index: user_pkey.
select name, time_zone, created_at from account.user where user_id = $1 for no key update
