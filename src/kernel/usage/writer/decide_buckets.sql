-- Lets buckets say what a merge has decided. The caller has locked them and saved their pre-images.
-- The decision compares as late and retracting even where it is on time: the into-device goes on sending what
-- it alone has counted, and that must not replace what both have.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys.
-- $6 … $13: the counts, in column order; $14 observed_ats.
-- $15 backfill_id: the job; $16 changed_at: now, an instant that no other statement of this process
-- was given.
-- Index: bucket_pkey.
update usage.bucket b
set input_tokens = k.input_tokens,
    cache_read_tokens = k.cache_read_tokens,
    cache_write_5m_tokens = k.cache_write_5m_tokens,
    cache_write_1h_tokens = k.cache_write_1h_tokens,
    output_tokens = k.output_tokens,
    reasoning_tokens = k.reasoning_tokens,
    unclassified_tokens = k.unclassified_tokens,
    request_count = k.request_count,
    observed_at = k.observed_at,
    stamped = true,
    rank = 3,
    backfill_id = $15::uuid,
    changed_at = $16::timestamptz
from unnest(
    $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
    $14::timestamptz[]
) as k (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at
)
where b.user_id = k.user_id
  and b.hour_start = k.hour_start
  and b.device_id = k.device_id
  and b.source = k.source
  and b.model = k.model
