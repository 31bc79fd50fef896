-- What a user's rollup is in, how fresh it is, and in which zone a question is answered. Exactly one row for a user
-- that exists.
-- $1 user_id; $2 now: for today's local date; $3 time_zone: another zone that is asked for, or null.
-- Of the events only the first and the last are looked at, however many wait. The first by id is as good as the oldest:
-- what has a higher id was announced later than that one began, and acknowledged later still.
-- account.time_zone reads a folder of files: only where the zone asked for is not the rollup's.
-- Index: user_pkey, user_state_pkey, outbox_pkey.
select
    transaction_timestamp() as "read_at!",
    (select o.created_at from usage.outbox o where o.user_id = u.user_id order by o.id limit 1) as oldest_event_at,
    (select max(o.id) from usage.outbox o where o.user_id = u.user_id) as newest_event_id,
    z.recorded as "recorded_zone!",
    z.recorded <> u.time_zone as "zone_change_waits!",
    a.time_zone as asked_zone,
    ($2::timestamptz at time zone coalesce(a.time_zone, z.recorded))::date as "today!",
    coalesce(s.version, 0) as "version!",
    s.frozen_before
from account.user u
left join rollup.user_state s on s.user_id = u.user_id
cross join lateral (select coalesce(s.time_zone, u.time_zone) as recorded) z
cross join lateral (
    select (
        select n.name from account.time_zone n where n.name = $3::text and $3::text <> z.recorded
    ) as time_zone
    -- Else the planner would write the look-up out wherever its result is used.
    offset 0
) a
where u.user_id = $1
