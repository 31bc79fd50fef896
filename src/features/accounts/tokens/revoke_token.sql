-- Revokes a token that is active.
-- $1 token_id.
-- Index: token_id_is_unique.
update account.token
set revoked_at = transaction_timestamp()
where token_id = $1 and revoked_at is null
