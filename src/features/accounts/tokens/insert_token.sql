-- Adds a token.
-- $1 token_hash, $2 token_id, $3 kind, $4 user_id, $5 device_id (device tokens only).
-- Index: token_pkey.
insert into account.token (token_hash, token_id, kind, user_id, device_id)
values ($1, $2, $3, $4, $5)
