-- Revokes a user and its tokens for good. The user's devices stay as they are, because without a
-- token nothing can post for them.
-- $1 user_id.
-- Index: user_pkey, token_user_id_idx.
with revoked as (
    update account.user u
    set revoked_at = transaction_timestamp()
    where u.user_id = $1 and u.revoked_at is null
    returning u.user_id
)
update account.token t
set revoked_at = transaction_timestamp()
from revoked r
where t.user_id = r.user_id and t.revoked_at is null
