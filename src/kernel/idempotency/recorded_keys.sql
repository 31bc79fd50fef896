-- Finds the answers that were recorded under keys within the last 24 hours.
-- $1 user_ids, $2 scope_hashes: position by position.
-- Index: idempotency_pkey.
select
    i.position as "position!",
    r.fingerprint as "fingerprint!",
    r.request_id as "request_id!",
    r.verdicts as "verdicts!",
    r.rejections as "rejections?"
from generate_series(1, cardinality($1::uuid[])) as i (position)
join usage.idempotency r
    on r.user_id = ($1::uuid[])[i.position]
    and r.scope_hash = ($2::bytea[])[i.position]
where r.created_at > transaction_timestamp() - interval '24 hours'
