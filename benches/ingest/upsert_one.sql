-- Writes one bucket in one statement and one transaction, and nothing besides. The product is
-- compared with this.
-- $1 user_id, $2 hour_start, $3 device_id, $4 source, $5 model: the key; $6 … $13: the counts, in
-- column order; $14 observed_at.
-- Index: bucket_pkey.
insert into usage.bucket as b (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, changed_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, true, $14)
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
