-- Reads what a user sees of itself.
-- $1 user_id.
-- Index: user_pkey.
select name, time_zone, created_at from account.user where user_id = $1
