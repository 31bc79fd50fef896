-- Reads the state of a user's rollup, the age of the events that are not folded yet, and the time
-- zone of the answer, and its book; and whether a standby says so. Exactly one row for a user that exists, and none
-- for one who was erased.
-- $1 user_id; $2 now: for today's local date; $3 time_zone: the zone asked for, or null. Only the
-- first and the last event are looked at, however many wait. The first by id stands for the oldest:
-- an event with a higher id was published after that one's transaction had begun. account.time_zone
-- reads a folder of files, so that it is asked only where $3 is another zone than the rollup's.
-- Index: user_pkey, user_state_pkey, outbox_pkey, in_force_pkey.
select
    transaction_timestamp() as "read_at!",
    (select o.created_at from usage.outbox o where o.user_id = u.user_id order by o.id limit 1) as oldest_event_at,
    (select max(o.id) from usage.outbox o where o.user_id = u.user_id) as newest_event_id,
    z.recorded as "recorded_zone!",
    z.recorded <> u.time_zone as "zone_change_waits!",
    a.time_zone as asked_zone,
    ($2::timestamptz at time zone coalesce(a.time_zone, z.recorded))::date as "today!",
    coalesce(s.version, 0) as "version!",
    case when s.user_id is null then f.book else s.book end as "book?",
    f.book as "book_in_force?",
    s.frozen_before,
    pg_is_in_recovery() as "is_of_standby!"
from account.user u
left join rollup.user_state s on s.user_id = u.user_id
left join price.in_force f on f.is_only
cross join lateral (select coalesce(s.time_zone, u.time_zone) as recorded) z
cross join lateral (
    select (
        select n.name from account.time_zone n where n.name = $3::text and $3::text <> z.recorded
    ) as time_zone
    -- Without this the planner would repeat the look-up wherever its result is used.
    offset 0
) a
where u.user_id = $1
