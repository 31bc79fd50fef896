-- From when on the buckets of a user whose rollup is frozen can answer for whole days. That is where retention stopped,
-- exactly: the horizon keeps its place when the user's zone changes. Where the first day that is not frozen also counts
-- buckets that the present zone would give to the day before, it is the end of that day.
-- $1 user_id.
-- Whoever raises horizons waits for those who read them: only for ranges near the frozen days, never for every read.
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
    -- Where midnight comes twice, the first one, as in rollups/intervals.sql.
    select
        min(case when (n.early at time zone s.time_zone) = m.local then n.early else m.late end) as begins_at,
        max(case when (n.early at time zone s.time_zone) = m.local then n.early else m.late end) as ends_at
    from (
        select d.day::timestamp as local, d.day::timestamp at time zone s.time_zone as late
        from (values (s.frozen_before), (s.frozen_before + 1)) d (day)
    ) m
    cross join lateral (
        select m.late - interval '3 hours'
            + (m.local - ((m.late - interval '3 hours') at time zone s.time_zone)) as early
    ) n
) f
where s.user_id = $1
  and s.frozen_before is not null
