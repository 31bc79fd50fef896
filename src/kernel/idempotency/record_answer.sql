-- Records the answer to a request other than a post under its key, and replaces an expired record of
-- that key. Of the user's other records only the newest 999 stay: those that go are found first, and
-- then deleted by their places, so that each record is looked at once, whatever the table held when
-- the statement was planned. They are sorted as record_posts.sql says. Of a user who was erased
-- meanwhile nothing is recorded.
-- $1 user_id, $2 scope_hash, $3 fingerprint, $4 request_id; $5 status, $6 answer, $7 etag, $8
-- location, $9 seed, $10 secret_hash.
-- Index: idempotency_pkey, idempotency_newest_idx, erased_user_pkey.
with forgotten as (
    delete from usage.idempotency f
    where f.user_id = $1
      and f.ctid = any(array(
          select o.ctid
          from usage.idempotency o
          where o.user_id = $1 and o.device_id = $1 and o.scope_hash <> $2
          order by o.created_at + interval '24 hours' desc
          offset 999
      ))
)
insert into usage.idempotency (
    user_id, scope_hash, device_id, fingerprint, request_id, verdicts, rejections,
    status, answer, etag, location, seed, secret_hash
)
select $1, $2, $1, $3, $4, '', null, $5, $6, $7, $8, $9, $10
where not exists (select from account.erased_user x where x.user_id = $1)
on conflict (user_id, scope_hash) do update set
    device_id = excluded.device_id,
    number = excluded.number,
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
