-- Subtracts an owner's erasure from frozen days. Their buckets are gone, so that a fold cannot do
-- it;
-- the rollup's rows are deleted instead. Only days that lie wholly inside the erasure, in the
-- rollup's time zone, lose their rows. What part of a day's sums a shorter erasure would take away
-- is no longer known.
-- $1 user_ids, $2 ids: events, position by position; only those of topic erased count.
-- Index: outbox_pkey, user_state_pkey, daily_pkey.
with erased as materialized (
    select
        o.user_id, o.device_id, o.source, s.frozen_before,
        ((o.first_hour - interval '30 minutes') at time zone s.time_zone)::date as day_before,
        ((o.last_hour + interval '30 minutes') at time zone s.time_zone)::date as day_after
    from usage.outbox o
    join rollup.user_state s on s.user_id = o.user_id
    where o.user_id = any($1::uuid[])
      and o.id = any($2::bigint[])
      and o.topic = 'erased'
      and s.frozen_before is not null
),
gone as (
    delete from rollup.daily r
    using erased e
    where r.user_id = e.user_id
      and r.day < e.frozen_before
      and r.day > e.day_before
      and r.day < e.day_after
      and (e.device_id is null or r.device_id = e.device_id)
      and (e.source is null or r.source = e.source)
    returning r.user_id
)
update rollup.user_state s
set version = s.version + 1
where s.user_id in (select g.user_id from gone g)
