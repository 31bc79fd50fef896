-- Adds what a device has reported less, as usage.kept counts it, to another device of the user, and
-- forgets it of the first one.
-- $1 user_id, $2 from_device_id, $3 into_device_id.
-- Returns what was carried, and what stood of the other device before; no row where there was
-- nothing.
-- Index: kept_pkey.
with gone as (
    delete from usage.kept where user_id = $1 and device_id = $2 returning snapshots, last_kept_at
),
carried as (
    insert into usage.kept as k (user_id, device_id, snapshots, last_kept_at)
    select $1, $3, g.snapshots, g.last_kept_at
    from gone g
    on conflict (user_id, device_id) do update set
        snapshots = k.snapshots + excluded.snapshots,
        last_kept_at = greatest(k.last_kept_at, excluded.last_kept_at)
)
select
    g.snapshots, g.last_kept_at,
    (select k.last_kept_at from usage.kept k where k.user_id = $1 and k.device_id = $3) as "into_last_kept_at?"
from gone g
