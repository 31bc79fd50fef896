-- Removes the tokens of a user who is being erased.
-- $1 user_id.
-- Index: token_user_id_idx.
delete from account.token where user_id = $1
