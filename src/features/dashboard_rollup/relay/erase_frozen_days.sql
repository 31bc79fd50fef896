-- Removes what an owner erased from days whose buckets retention has removed before: no fold can do that. Only days
-- that the erasure covers whole, by the zone that the rollup is in: of a part nobody knows any more what it was.
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
