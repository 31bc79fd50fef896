-- Removes a user who is being erased, with the name. Nothing belongs to it any more.
-- $1 user_id.
-- Index: user_pkey.
delete from account.user where user_id = $1
