-- Removes some buckets of a user who was erased.
-- $1 user_id; $2 limit.
-- Index: bucket_pkey.
delete from usage.bucket
where user_id = $1
  and (user_id, hour_start, device_id, source, model) in (
      select user_id, hour_start, device_id, source, model
      from usage.bucket
      where user_id = $1
      order by user_id, hour_start, device_id, source, model
      limit $2
  )
