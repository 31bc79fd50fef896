-- Finds the answers that were recorded under keys within the last 24 hours, by one look for each key.
-- A plan of a moment when the table was empty stays in use, and to it all indexes cost the same. So the
-- key is asked for as a range, in the order of idempotency_pkey, which no other index has.
-- $1 user_ids, $2 scope_hashes: position by position.
-- Index: idempotency_pkey.
select
    i.position as "position!",
    f.fingerprint as "fingerprint!",
    f.request_id as "request_id!",
    f.verdicts as "verdicts!",
    f.rejections as "rejections?"
from unnest($1::uuid[], $2::bytea[]) with ordinality as i (user_id, scope_hash, position)
cross join lateral (
    select r.fingerprint, r.request_id, r.verdicts, r.rejections, r.created_at
    from usage.idempotency r
    where r.user_id = i.user_id and r.scope_hash between i.scope_hash and i.scope_hash
    order by r.scope_hash
    limit 1
) f
where f.created_at > transaction_timestamp() - interval '24 hours'
