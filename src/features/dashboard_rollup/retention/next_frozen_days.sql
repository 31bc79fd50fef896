-- Finds the day up to which a user's rollup is frozen next. It is the local day in which the
-- horizon lies, but at most so many days after the first day that still has buckets. No row where
-- nothing is left to remove.
-- $1 user_id; $2 days: the most days in one step.
-- Needs the fold lock, so that the zone stays. Index: user_state_pkey, horizon_pkey, bucket_pkey.
select s.time_zone as "time_zone!", k.day as "day!"
from rollup.user_state s
join usage.horizon h on h.user_id = s.user_id
cross join lateral (
    select (min(b.hour_start) at time zone s.time_zone)::date as day
    from usage.bucket b
    where b.user_id = s.user_id and b.hour_start < h.first_hour
) oldest
cross join lateral (
    select least(
        (h.first_hour at time zone s.time_zone)::date,
        -- Buckets of frozen days are counted to the first day that is not frozen.
        greatest(oldest.day, s.frozen_before) + $2::integer
    ) as day
) k
where s.user_id = $1
  and oldest.day < k.day
  and (s.frozen_before is null or s.frozen_before < k.day)
