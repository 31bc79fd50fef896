-- Finds the events to fold next in some parts: the oldest of each lane that have never failed, and
-- failed ones whose time to be tried again has come.
-- $1 now; $2 parts, $3 lanes: where to look, position by position, in the order of their turns, with
-- $4 scan_from: the lowest id to look at, because the index below it may be full of events that were
-- consumed and are not vacuumed yet; $5 at_most: the most events of that lane and part, above 0.
-- $6 live, $7 bulk, $8 whole: the most events of each lane, and as many failed ones besides. A part
-- gets what those before it leave.
-- Index: outbox_lane_part_id_idx, outbox_lane_part_retry_idx.
with place as materialized (
    select *
    from unnest($2::smallint[], $3::text[], $4::bigint[], $5::bigint[])
        with ordinality as c (part, lane, scan_from, at_most, turn)
),
round as materialized (
    select * from (values ('live', $6::bigint), ('bulk', $7::bigint), ('whole', $8::bigint)) as r (lane, at_most)
)
select e.user_id as "user_id!", e.id as "id!", e.topic as "topic!", e.created_at as "created_at!",
    e.attempts as "attempts!", e.lane as "lane!", e.traceparent
from round r
cross join lateral (
    select o.*
    from (select c.* from place c where c.lane = r.lane order by c.turn) c
    cross join lateral (
        select o.user_id, o.id, o.topic, o.created_at, o.attempts, o.lane, o.traceparent
        from usage.outbox o
        where o.lane = c.lane and o.part = c.part and o.id >= c.scan_from and o.retry_at is null and o.parked_at is null
        order by o.id
        limit c.at_most
    ) o
    limit r.at_most
) e
union all
select e.user_id, e.id, e.topic, e.created_at, e.attempts, e.lane, e.traceparent
from round r
cross join lateral (
    select o.*
    from place c
    cross join lateral (
        select o.user_id, o.id, o.topic, o.created_at, o.attempts, o.lane, o.traceparent, o.retry_at
        from usage.outbox o
        where o.lane = c.lane and o.part = c.part and o.retry_at <= $1::timestamptz and o.parked_at is null
        order by o.retry_at
        limit c.at_most
    ) o
    where c.lane = r.lane
    order by o.retry_at
    limit r.at_most
) e
