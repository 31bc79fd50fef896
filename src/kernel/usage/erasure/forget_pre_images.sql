-- Removes some pre-images of a user who was erased. The user's buckets are gone by now, so that no
-- job can save another one.
-- $1 user_id; $2 limit.
-- Index: pre_image_pkey.
delete from usage.pre_image
where user_id = $1
  and (user_id, hour_start, device_id, source, model, backfill_id) in (
      select user_id, hour_start, device_id, source, model, backfill_id
      from usage.pre_image
      where user_id = $1
      order by user_id, hour_start, device_id, source, model, backfill_id
      limit $2
  )
