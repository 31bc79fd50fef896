-- Adds up, for each device, how many of its snapshots got the verdict kept.
-- $1 user_ids, $2 device_ids: distinct and sorted; $3 snapshots: how many of each; $4 kept_at: now.
-- It is the last statement of its transaction that waits for rows, and takes them in one order, so
-- that two transactions cannot deadlock over them.
-- Index: kept_pkey.
insert into usage.kept as k (user_id, device_id, snapshots, last_kept_at)
select e.user_id, e.device_id, e.snapshots, $4
from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as e (user_id, device_id, snapshots)
order by e.user_id, e.device_id
on conflict (user_id, device_id) do update set
    snapshots = k.snapshots + excluded.snapshots,
    last_kept_at = greatest(k.last_kept_at, excluded.last_kept_at)
