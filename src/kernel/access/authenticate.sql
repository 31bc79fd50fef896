-- Finds the principal behind a token. No row where the token is not valid.
-- $1 hash: SHA-256 of the token.
-- Index: token_pkey, device_kind_pkey.
select token_id as "token_id!", kind as "kind!", user_id as "user_id!", device_id, counts
from account.authenticate($1)
