-- Finds the active user of a name.
-- $1 name.
-- Index: user_name_is_unique_while_active.
select user_id from account.user where name = $1 and revoked_at is null
