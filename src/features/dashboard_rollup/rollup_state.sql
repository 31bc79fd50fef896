-- What a user's rollup is in, and how fresh it is. Exactly one row for a user that exists.
-- $1 user_id; $2 now: for today's local date.
-- Index: user_pkey, user_state_pkey, outbox_pkey.
select
    transaction_timestamp() as "read_at!",
    (select min(o.created_at) from usage.outbox o where o.user_id = u.user_id) as oldest_event_at,
    z.time_zone as "time_zone!",
    coalesce(s.version, 0) as "version!",
    ($2::timestamptz at time zone z.time_zone)::date as "today!"
from account.user u
left join rollup.user_state s on s.user_id = u.user_id
cross join lateral (select coalesce(s.time_zone, u.time_zone) as time_zone) z
where u.user_id = $1
