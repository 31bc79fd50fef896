-- Counts the buckets that an erasure would remove, and finds the first and the last half hour.
-- $1 user_id; $2 device_id, $3 source, $4 first_hour, $5 last_hour: the scope, null where it is
-- open.
-- Index: bucket_pkey.
select count(*) as "buckets!", min(b.hour_start) as first_hour, max(b.hour_start) as last_hour
from usage.bucket b
where b.user_id = $1
  and ($2::uuid is null or b.device_id = $2)
  and ($3::text is null or b.source = $3)
  and b.hour_start >= coalesce($4::timestamptz, '-infinity')
  and b.hour_start <= coalesce($5::timestamptz, 'infinity')
