-- Records the answer under a key and replaces an expired record of that key. Of the device's other
-- records only the newest 999 stay. Of a user who was erased meanwhile nothing is recorded.
-- $1 user_id, $2 scope_hash, $3 device_id, $4 fingerprint, $5 request_id, $6 verdicts, $7
-- rejections.
-- Index: idempotency_pkey, idempotency_newest_idx, erased_user_pkey.
with forgotten as (
    delete from usage.idempotency f
    where f.user_id = $1
      and f.scope_hash <> $2
      and f.scope_hash in (
          select o.scope_hash
          from usage.idempotency o
          where o.user_id = $1 and o.device_id = $3
          order by o.created_at desc
          offset 999
      )
)
insert into usage.idempotency (user_id, scope_hash, device_id, fingerprint, request_id, verdicts, rejections)
select $1, $2, $3, $4, $5, $6, $7
where not exists (select from account.erased_user x where x.user_id = $1)
on conflict (user_id, scope_hash) do update set
    device_id = excluded.device_id,
    fingerprint = excluded.fingerprint,
    request_id = excluded.request_id,
    verdicts = excluded.verdicts,
    rejections = excluded.rejections,
    created_at = excluded.created_at
