-- Removes the buckets that belong to local days before a day and lie before the horizon. Buckets
-- from the horizon on stay, because trackers may still write them.
-- $1 user_id; $2 time_zone; $3 day: the first to keep.
-- Index: bucket_pkey, horizon_pkey.
delete from usage.bucket b
where b.user_id = $1
  and b.hour_start < (select h.first_hour from usage.horizon h where h.user_id = $1)
  and (b.hour_start at time zone $2)::date < $3
