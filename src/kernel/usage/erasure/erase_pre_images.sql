-- Removes the pre-images of an owner's buckets, so that rolling a correction back does not bring an
-- erased bucket back.
-- $1 user_id; $2 device_id, $3 source, $4 first_hour, $5 last_hour: the scope, null where it is
-- open.
-- Index: pre_image_pkey.
delete from usage.pre_image p
where p.user_id = $1
  and ($2::uuid is null or p.device_id = $2)
  and ($3::text is null or p.source = $3)
  and p.hour_start >= coalesce($4::timestamptz, '-infinity')
  and p.hour_start <= coalesce($5::timestamptz, 'infinity')
