-- Locks buckets one after the other, in the order of the keys given, and returns their versions.
-- Buckets before the user's horizon count as absent. Reading usage.horizon takes ACCESS SHARE on
-- it, so lock_horizons.sql (ACCESS EXCLUSIVE) waits until this transaction ends.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, sorted as
-- upsert_buckets.sql sorts them.
-- The lateral forces one index look-up a key. A table that is just being filled has misleading
-- statistics, and the planner would scan it.
-- Index: bucket_pkey, horizon_pkey.
select
    k.position as "position!",
    b.input_tokens as "input_tokens!", b.cache_read_tokens as "cache_read_tokens!",
    b.cache_write_5m_tokens as "cache_write_5m_tokens!", b.cache_write_1h_tokens as "cache_write_1h_tokens!",
    b.output_tokens as "output_tokens!", b.reasoning_tokens as "reasoning_tokens!",
    b.unclassified_tokens as "unclassified_tokens!", b.request_count as "request_count!",
    b.observed_at as "observed_at!", b.backfill_id
from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[]) with ordinality
    as k (user_id, hour_start, device_id, source, model, position)
cross join lateral (
    select
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.request_count,
        b.observed_at, b.backfill_id
    from usage.bucket b
    where b.user_id = k.user_id
      and b.hour_start = k.hour_start
      and b.device_id = k.device_id
      and b.source = k.source
      and b.model = k.model
      and not exists (
          select from usage.horizon h
          where h.user_id = k.user_id and k.hour_start < h.first_hour
      )
    for update of b
) b
