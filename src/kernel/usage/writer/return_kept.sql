-- Gives a device back what carry_kept.sql has added to another one.
-- $1 user_id, $2 from_device_id, $3 into_device_id; $4 snapshots, $5 last_kept_at: what was carried;
-- $6 into_last_kept_at: what stood of the other device before, null for nothing. The other device
-- gets this instant back unless something was kept there since.
-- Index: kept_pkey.
with lowered as (
    update usage.kept k
    set snapshots = k.snapshots - $4::bigint,
        last_kept_at = case
            when k.last_kept_at = greatest($5::timestamptz, $6::timestamptz) then coalesce($6::timestamptz, k.last_kept_at)
            else k.last_kept_at
        end
    where k.user_id = $1 and k.device_id = $3 and k.snapshots > $4::bigint
),
removed as (
    delete from usage.kept k where k.user_id = $1 and k.device_id = $3 and k.snapshots <= $4::bigint
)
insert into usage.kept as k (user_id, device_id, snapshots, last_kept_at)
values ($1, $2, $4::bigint, $5::timestamptz)
on conflict (user_id, device_id) do update set
    snapshots = k.snapshots + excluded.snapshots,
    last_kept_at = greatest(k.last_kept_at, excluded.last_kept_at)
