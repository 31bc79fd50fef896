-- Locks a user until the transaction ends, also against whoever inserts rows that belong to it.
-- $1 user_id.
-- Index: user_pkey.
select user_id from account.user where user_id = $1 for update
