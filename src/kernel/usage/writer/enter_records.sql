-- Enters records into the ledger, each once. A record that another transaction is entering at this
-- moment is waited for. What happened before its owner erased it is not entered, and neither is what
-- is before the retention horizon. Reading usage.horizon takes ACCESS SHARE on it, so
-- lock_horizons.sql (ACCESS EXCLUSIVE) waits until this transaction ends.
-- $1 user_ids, $2 hour_starts, $3 record_hashes: the keys, distinct and sorted in this order, so that
-- two transactions cannot wait for each other; $4 device_ids, $5 sources; $6 happened_ats: when the
-- requests to the models were made.
-- Returns what was entered, and what was not and why. What is missing in the answer was entered before.
-- Index: ledger_pkey, erasure_pkey, horizon_pkey.
with record as (
    select *
    from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[], $6::timestamptz[])
        as r (user_id, hour_start, record_hash, device_id, source, happened_at)
),
judged as materialized (
    select
        r.*,
        exists (
            select from usage.erasure x
            where x.user_id = r.user_id
              and r.happened_at <= x.erased_at
              and r.hour_start between x.first_hour and x.last_hour
              and (x.device_id is null or x.device_id = r.device_id)
              and (x.source is null or x.source = r.source)
        ) as erased,
        exists (
            select from usage.horizon h
            where h.user_id = r.user_id and r.hour_start < h.first_hour
        ) as expired
    from record r
),
entered as (
    insert into usage.ledger (user_id, hour_start, record_hash, device_id, source)
    select r.user_id, r.hour_start, r.record_hash, r.device_id, r.source
    from judged r
    where not r.erased and not r.expired
    order by r.user_id, r.hour_start, r.record_hash
    on conflict (user_id, hour_start, record_hash) do nothing
    returning user_id, hour_start, record_hash
)
select
    user_id as "user_id!", hour_start as "hour_start!", record_hash as "record_hash!",
    'inserted' as "verdict!"
from entered
union all
select
    user_id, hour_start, record_hash,
    case when erased then 'erased' else 'before_retention_horizon' end
from judged
where erased or expired
