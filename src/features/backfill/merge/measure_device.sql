-- Counts the buckets of a device that a merge moves, up to a limit, and finds the newest half hour.
-- $1 user_id, $2 device_id; $3 first_hour, $4 last_hour; $5 limit.
-- Index: bucket_pkey, horizon_pkey.
select count(*) as "buckets!", max(m.hour_start) as "newest?"
from (
    select b.hour_start
    from usage.bucket b
    where b.user_id = $1
      and b.device_id = $2
      and b.hour_start >= $3
      and b.hour_start <= $4
      and not exists (
          select from usage.horizon h
          where h.user_id = b.user_id and b.hour_start < h.first_hour
      )
    order by b.hour_start desc
    limit $5
) m
