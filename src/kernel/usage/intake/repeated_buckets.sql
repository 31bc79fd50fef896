-- Finds the other device of the user that has the most of the given buckets with the same counts.
-- Buckets that say nothing are not compared.
-- $1 user_ids, $2 hour_starts, $3 device_ids, $4 sources, $5 models: the keys.
-- $6 … $13: the counts, in column order.
-- Index: bucket_pkey.
select b.device_id, count(*) as "equal_buckets!"
from unnest(
    $1::uuid[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[],
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
    $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[]
) as k (
    user_id, hour_start, device_id, source, model,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
    output_tokens, reasoning_tokens, unclassified_tokens, request_count
)
cross join lateral (
    select o.device_id
    from usage.bucket o
    where o.user_id = k.user_id
      and o.hour_start = k.hour_start
      and o.device_id <> k.device_id
      and o.source = k.source
      and o.model = k.model
      and (
          o.input_tokens, o.cache_read_tokens, o.cache_write_5m_tokens, o.cache_write_1h_tokens,
          o.output_tokens, o.reasoning_tokens, o.unclassified_tokens, o.request_count
      ) = (
          k.input_tokens, k.cache_read_tokens, k.cache_write_5m_tokens, k.cache_write_1h_tokens,
          k.output_tokens, k.reasoning_tokens, k.unclassified_tokens, k.request_count
      )
) b
group by b.device_id
order by count(*) desc, b.device_id
limit 1
