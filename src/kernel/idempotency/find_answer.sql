-- Finds the answer that was recorded under a key within the last 24 hours. A record of a post has no
-- status, and is none.
-- $1 user_id, $2 scope_hash.
-- Index: idempotency_pkey.
select
    r.fingerprint,
    r.status as "status!",
    r.answer as "answer!",
    r.etag,
    r.location,
    r.seed as "seed!",
    r.secret_hash
from usage.idempotency r
where r.user_id = $1
  and r.scope_hash = $2
  and r.status is not null
  and r.created_at > transaction_timestamp() - interval '24 hours'
