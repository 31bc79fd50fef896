-- Writes buckets in one statement and one transaction, and nothing besides. The product's posts of
-- many buckets are compared with this.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys, distinct and sorted
-- in this order.
-- $6 … $13: the counts, in column order; $14 observed_ats.
-- Index: bucket_pkey.
insert into usage.bucket as b (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, changed_at
)
select
    e.user_id, e.hour_start, e.device_id, e.source, e.model,
    e.input_tokens, e.cache_read_tokens, e.cache_write_5m_tokens, e.cache_write_1h_tokens,
    e.output_tokens, e.reasoning_tokens, e.unclassified_tokens, e.request_count,
    e.observed_at, true, e.observed_at
from unnest(
    $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[],
    $14::timestamptz[]
) as e (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at
)
on conflict (user_id, hour_start, device_id, source, model) do update set
    input_tokens = excluded.input_tokens,
    cache_read_tokens = excluded.cache_read_tokens,
    cache_write_5m_tokens = excluded.cache_write_5m_tokens,
    cache_write_1h_tokens = excluded.cache_write_1h_tokens,
    output_tokens = excluded.output_tokens,
    reasoning_tokens = excluded.reasoning_tokens,
    unclassified_tokens = excluded.unclassified_tokens,
    request_count = excluded.request_count,
    observed_at = excluded.observed_at,
    changed_at = excluded.changed_at
where excluded.observed_at > b.observed_at
