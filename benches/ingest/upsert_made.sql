-- Writes buckets that the database makes itself, in one statement and one transaction. It is the
-- most that this table takes, because no row has to be sent or read.
-- $1 user_id, $2 device_id, $3 epoch: whose they are, and where they begin.
-- $4 first, $5 last: their places, of which each half hour has eight.
-- $6 sources, $7 models: the eight kinds.
-- Index: bucket_pkey.
insert into usage.bucket as b (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count,
    observed_at, stamped, changed_at
)
select
    $1::uuid, k.hour_start, $2::uuid, ($6::text[])[k.kind], ($7::text[])[k.kind],
    1200 + k.place % 997, 90000 + k.place % 997, 0, 300 + k.place % 997,
    800 + k.place % 997, 200, 0, 1 + k.place % 997,
    k.hour_start + interval '29 minutes', true, k.hour_start + interval '29 minutes'
from (
    select g.place, $3::timestamptz + g.place / 8 * interval '30 minutes' as hour_start, g.place % 8 + 1 as kind
    from generate_series($4::integer, $5::integer) as g (place)
) k
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
