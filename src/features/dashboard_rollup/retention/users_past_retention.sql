-- Finds the next users who have buckets of days past their retention, and for each user the new
-- horizon. The horizon is the half hour after the last one that belongs to a removed day. It is
-- found by trying half hours, because midnight may be skipped, come twice, or lie between half
-- hours. A user whose time zone PostgreSQL no longer knows is returned too, with a null horizon,
-- because nobody can say which of that user's days are past.
-- $1 now; $2 days: whole local days to keep before today's; $3 after: the last user of the page
-- before; $4 limit.
-- Index: user_state_pkey, bucket_pkey.
with known as materialized (
    select n.name from pg_catalog.pg_timezone_names n
)
select s.user_id as "user_id!", k.first_hour as "first_hour?"
from rollup.user_state s
cross join lateral (
    select
        case when s.time_zone in (select n.name from known n)
            then ($1::timestamptz at time zone s.time_zone)::date - $2::integer
        end as day
    -- Without this the planner would repeat the look-up wherever the day is used.
    offset 0
) d
cross join lateral (
    select max(h.hour_start) + interval '30 minutes' as first_hour
    from generate_series(
        date_bin('30 minutes', usage.window_start(d.day, s.time_zone), '2020-01-01T00:00:00Z'),
        usage.window_end(d.day - 1, s.time_zone),
        interval '30 minutes'
    ) h (hour_start)
    where (h.hour_start at time zone s.time_zone)::date < d.day
) k
where s.user_id > $3
  and case when d.day is null then true else exists (
      select from usage.bucket b
      where b.user_id = s.user_id
        and b.hour_start < k.first_hour
        and (b.hour_start at time zone s.time_zone)::date < d.day
  ) end
order by s.user_id
limit $4
