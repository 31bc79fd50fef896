-- Reads the name of a user that is not revoked.
-- $1 user_id.
-- Index: user_pkey.
select name from account.user where user_id = $1 and revoked_at is null
