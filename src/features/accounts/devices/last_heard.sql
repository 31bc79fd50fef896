-- Says when one of a user's devices last showed its token, be it revoked by now; null where none has.
-- $1 user_id.
-- Index: token_device_idx.
select max(t.last_used_at) as last_heard
from account.token t
where t.user_id = $1 and t.device_id is not null
