-- Records that a device takes no snapshots of the past any more, because its usage is being merged
-- into another device. lock_out_writers.sql has run in this transaction. Records of the user's
-- earlier merges go when their time is over: no token of those devices is valid any more.
-- $1 user_id, $2 erasure_id, $3 device_id; $4 refused_until: snapshots taken later are taken;
-- $5 first_hour, $6 last_hour: the half hours; $7 backfill_id: the merge; $8 executed_at: now.
-- Returns how many records of this kind and erasures the user has afterwards.
-- Index: erasure_pkey.
with forgotten as (
    delete from usage.erasure x
    where x.user_id = $1 and x.backfill_id is not null and x.erased_at < $8
    returning x.erasure_id
),
recorded as (
    insert into usage.erasure (user_id, erasure_id, erased_at, device_id, first_hour, last_hour, backfill_id)
    values ($1, $2, $4, $3, $5, $6, $7)
    returning erasure_id
)
select (select count(*) from usage.erasure x where x.user_id = $1)
    - (select count(*) from forgotten)
    + (select count(*) from recorded) as "erasures!"
