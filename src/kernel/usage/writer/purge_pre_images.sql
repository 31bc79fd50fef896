-- Removes pre-images of jobs that can no longer be rolled back.
-- $1 backfill_ids: the jobs; $2 limit.
-- Index: pre_image_backfill_id_idx, pre_image_pkey.
delete from usage.pre_image
where (user_id, hour_start, device_id, source, model, backfill_id) in (
    select user_id, hour_start, device_id, source, model, backfill_id
    from usage.pre_image
    where backfill_id = any($1::uuid[])
    limit $2
)
