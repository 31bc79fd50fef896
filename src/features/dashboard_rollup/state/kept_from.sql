-- Finds the instant from which on a user's buckets are complete; no row where nothing is frozen. It
-- is the horizon, which stays where it is when the user's zone changes. But where the first day
-- that is not frozen also counts buckets that the present zone would give to the day before, it is
-- the end of that day.
-- $1 user_id.
-- Reading usage.horizon makes lock_horizons.sql wait. Therefore only reads whose range comes near
-- the frozen days run this.
-- Index: user_state_pkey, horizon_pkey.
select
    case
        when h.first_hour < date_bin('30 minutes', f.begins_at + interval '1799.999999 seconds', '2020-01-01T00:00:00Z')
            then f.ends_at
        else coalesce(h.first_hour, f.begins_at)
    end as "kept_from!"
from rollup.user_state s
left join usage.horizon h on h.user_id = s.user_id
cross join lateral (
    select
        usage.local_day_start(s.frozen_before, s.time_zone) as begins_at,
        usage.local_day_start(s.frozen_before + 1, s.time_zone) as ends_at
) f
where s.user_id = $1
  and s.frozen_before is not null
