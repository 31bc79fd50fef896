-- The next users who have buckets of days past their retention, with the first half hour to keep: where the first local
-- day to keep begins, or the half hour after it, for a midnight may lie between two.
-- $1 now; $2 days: whole local days to keep before today's; $3 after: the last user of the page before; $4 limit.
-- Index: user_state_pkey, bucket_pkey.
select s.user_id as "user_id!", k.first_hour as "first_hour!"
from rollup.user_state s
cross join lateral (
    select to_timestamp(ceil(extract(epoch from (
        (($1::timestamptz at time zone s.time_zone)::date - $2::integer)::timestamp at time zone s.time_zone
    )) / 1800) * 1800) as first_hour
) k
where s.user_id > $3
  and exists (
      select from usage.bucket b
      where b.user_id = s.user_id
        and b.hour_start < k.first_hour
        and (b.hour_start at time zone s.time_zone)::date < (k.first_hour at time zone s.time_zone)::date
  )
order by s.user_id
limit $4
