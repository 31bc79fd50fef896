-- The oldest due events of both lanes.
-- $1 now; $2 live and $3 bulk: how many of each lane at most.
-- Index: outbox_lane_id_idx.
(
    select user_id as "user_id!", id as "id!", created_at as "created_at!", attempts as "attempts!", lane = 'bulk' as "bulk!"
    from usage.outbox
    where lane = 'live' and parked_at is null and (retry_at is null or retry_at <= $1)
    order by id
    limit $2
)
union all
(
    select user_id, id, created_at, attempts, true
    from usage.outbox
    where lane = 'bulk' and parked_at is null and (retry_at is null or retry_at <= $1)
    order by id
    limit $3
)
