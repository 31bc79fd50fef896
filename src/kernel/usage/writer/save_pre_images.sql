-- Saves the present versions of the buckets that a job is about to correct. lock_buckets.sql has
-- locked them. A version that the job has saved before stays, because a rollback restores the
-- first.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys; $6 backfill_id: the
-- job.
-- Index: bucket_pkey, pre_image_pkey.
insert into usage.pre_image (
    user_id, hour_start, device_id, source, model, backfill_id,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, rank, prior_backfill_id
)
select
    b.user_id, b.hour_start, b.device_id, b.source, b.model, $6::uuid,
    b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
    b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
    b.observed_at, b.stamped, b.rank, b.backfill_id
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[])
    as k (user_id, hour_start, device_id, source, model)
join usage.bucket b
    on b.user_id = k.user_id
    and b.hour_start = k.hour_start
    and b.device_id = k.device_id
    and b.source = k.source
    and b.model = k.model
on conflict (user_id, hour_start, device_id, source, model, backfill_id) do nothing
