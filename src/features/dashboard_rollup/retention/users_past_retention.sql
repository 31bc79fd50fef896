-- The next users who have buckets of days past their retention, with the first half hour to keep: the one after the
-- last that belongs to a day before the first to keep. Midnight may be skipped, come twice, or lie between half hours.
-- Users in a zone that PostgreSQL does not know any more come too, and without one: which days are past nobody can say.
-- $1 now; $2 days: whole local days to keep before today's; $3 after: the last user of the page before; $4 limit.
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
    -- Else the planner would write the look-up out wherever the day is used.
    offset 0
) d
cross join lateral (
    select max(h.hour_start) + interval '30 minutes' as first_hour
    from generate_series(
        date_trunc('hour', d.day::timestamp at time zone s.time_zone) - interval '3 hours',
        d.day::timestamp at time zone s.time_zone + interval '3 hours',
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
