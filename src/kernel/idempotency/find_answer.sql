-- Finds the answer that was recorded under a key within the last 24 hours. A record of a post has no
-- status, and is none. It is asked for as recorded_keys.sql says.
-- $1 user_id, $2 scope_hash.
-- Index: idempotency_pkey.
select
    f.fingerprint,
    f.status as "status!",
    f.answer as "answer!",
    f.etag,
    f.location,
    f.seed as "seed!",
    f.secret_hash
from (
    select r.fingerprint, r.status, r.answer, r.etag, r.location, r.seed, r.secret_hash, r.created_at
    from usage.idempotency r
    where r.user_id = $1 and r.scope_hash between $2 and $2
    order by r.scope_hash
    limit 1
) f
where f.status is not null
  and f.created_at > transaction_timestamp() - interval '24 hours'
