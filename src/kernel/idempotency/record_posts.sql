-- Records the answers of a batch of posts under their keys, and replaces expired records of these keys.
-- Of a device only the newest thousand stay. Those that go are found first, and then deleted by their
-- places, so that each record is looked at once. They are sorted by an expression that no index has: a
-- plan of a moment when the table was empty would follow idempotency_created_at_idx over everybody's
-- records otherwise. Records of this batch's keys have expired, if there are any, and count for nothing.
-- Of a user who was erased meanwhile nothing is recorded.
-- $1 user_ids, $2 scope_hashes, $3 device_ids, $4 fingerprints, $5 request_ids, $6 verdicts, $7
-- rejections: position by position, the keys distinct.
-- Index: idempotency_pkey, idempotency_newest_idx, erased_user_pkey.
with entry as materialized (
    select *
    from unnest($1::uuid[], $2::bytea[], $3::uuid[], $4::bytea[], $5::uuid[], $6::bytea[], $7::text[]) as e (
        user_id, scope_hash, device_id, fingerprint, request_id, verdicts, rejections
    )
),
device as materialized (
    select e.user_id, e.device_id, count(*) as recorded
    from entry e
    group by e.user_id, e.device_id
),
forgotten as (
    delete from usage.idempotency f
    where f.ctid = any(array(
        select o.ctid
        from device d
        cross join lateral (
            select o.ctid
            from usage.idempotency o
            where o.user_id = d.user_id
              and o.device_id = d.device_id
              and o.created_at + interval '24 hours' > transaction_timestamp()
            order by o.created_at + interval '24 hours' desc
            offset greatest(1000 - d.recorded, 0)
        ) o
    ))
)
insert into usage.idempotency (
    user_id, scope_hash, device_id, fingerprint, request_id, verdicts, rejections
)
select e.user_id, e.scope_hash, e.device_id, e.fingerprint, e.request_id, e.verdicts, e.rejections
from entry e
where not exists (select from account.erased_user x where x.user_id = e.user_id)
order by e.user_id, e.scope_hash
on conflict (user_id, scope_hash) do update set
    device_id = excluded.device_id,
    fingerprint = excluded.fingerprint,
    request_id = excluded.request_id,
    verdicts = excluded.verdicts,
    rejections = excluded.rejections,
    status = excluded.status,
    answer = excluded.answer,
    etag = excluded.etag,
    location = excluded.location,
    seed = excluded.seed,
    secret_hash = excluded.secret_hash,
    created_at = excluded.created_at
