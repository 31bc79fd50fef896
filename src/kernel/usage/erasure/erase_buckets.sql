-- Removes an owner's buckets. lock_out_writers.sql has run in this transaction: this statement sees
-- every bucket that was written before, and writers that come later see the erasure.
-- $1 user_id; $2 device_id, $3 source, $4 first_hour, $5 last_hour: the scope, null where it is
-- open.
-- Returns for each device how many buckets were removed, and the newest stamp among them.
-- Index: bucket_pkey.
with erased as (
    delete from usage.bucket b
    where b.user_id = $1
      and ($2::uuid is null or b.device_id = $2)
      and ($3::text is null or b.source = $3)
      and b.hour_start >= coalesce($4::timestamptz, '-infinity')
      and b.hour_start <= coalesce($5::timestamptz, 'infinity')
    returning b.device_id, b.hour_start, b.observed_at
)
select
    e.device_id as "device_id!",
    count(*) as "buckets!",
    min(e.hour_start) as "first_hour!",
    max(e.hour_start) as "last_hour!",
    max(e.observed_at) as "newest!"
from erased e
group by e.device_id
order by e.device_id
