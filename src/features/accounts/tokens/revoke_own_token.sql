-- Revokes a token of a user that reads: another one, or a session.
-- $1 user_id; $2 token_id.
-- Index: token_id_is_unique.
update account.token
set revoked_at = transaction_timestamp()
where user_id = $1 and token_id = $2 and kind = 'viewer' and revoked_at is null
