-- Removes the buckets of local days before a day, and none that lies behind the horizon: what could still be written
-- stays.
-- $1 user_id; $2 time_zone; $3 day: the first to keep.
-- Index: bucket_pkey, horizon_pkey.
delete from usage.bucket b
where b.user_id = $1
  and b.hour_start < (select h.first_hour from usage.horizon h where h.user_id = $1)
  and (b.hour_start at time zone $2)::date < $3
