-- Finds the events to fold next: the oldest of each lane that have never failed, and failed ones
-- whose time to be tried again has come.
-- $1 now; $2 live, $3 bulk, $4 whole: the most events of each lane, and as many failed ones
-- besides;
-- $5 live_from, $6 bulk_from, $7 whole_from: the lowest id to look at in each lane. The index below
-- it may be full of events that were consumed and are not vacuumed yet.
-- Index: outbox_lane_id_idx, outbox_retry_idx.
(
    select user_id as "user_id!", id as "id!", topic as "topic!", created_at as "created_at!", attempts as "attempts!",
        lane as "lane!", traceparent
    from usage.outbox
    where lane = 'live' and id >= $5 and retry_at is null and parked_at is null
    order by id
    limit $2
)
union all
(
    select user_id, id, topic, created_at, attempts, lane, traceparent
    from usage.outbox
    where lane = 'bulk' and id >= $6 and retry_at is null and parked_at is null
    order by id
    limit $3
)
union all
(
    select user_id, id, topic, created_at, attempts, lane, traceparent
    from usage.outbox
    where lane = 'whole' and id >= $7 and retry_at is null and parked_at is null
    order by id
    limit $4
)
union all
(
    select r.user_id, r.id, r.topic, r.created_at, r.attempts, r.lane, r.traceparent
    from (
        select o.*, row_number() over (partition by o.lane order by o.retry_at) as place
        from (
            select user_id, id, topic, created_at, attempts, lane, traceparent, retry_at
            from usage.outbox
            where retry_at <= $1
              and parked_at is null
              -- No event of a lane that rests. The condition is a case, because the planner would use
              -- another one to read an index by lane, whatever waits in that lane.
              and case lane when 'bulk' then $3::bigint when 'whole' then $4::bigint else $2::bigint end > 0
            order by retry_at
            limit $2
        ) o
    ) r
    where r.place <= case r.lane when 'bulk' then $3::bigint when 'whole' then $4::bigint else $2::bigint end
)
