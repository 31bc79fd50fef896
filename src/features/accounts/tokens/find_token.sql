-- Finds the owner of a token, what the token may do, and whether it is active.
-- $1 token_id.
-- Index: token_id_is_unique.
select user_id, kind, device_id, revoked_at is null as "active!"
from account.token
where token_id = $1
