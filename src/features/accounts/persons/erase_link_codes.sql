-- Removes the link codes of a user who is being erased.
-- $1 user_id.
-- Index: link_code_user_id_idx.
delete from account.link_code where user_id = $1
