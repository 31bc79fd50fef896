-- Sums the rollup over a whole range. Sums are text, because a sum of bigints can be larger than a
-- bigint.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing.
-- Index: daily_pkey.
select
    coalesce(sum(r.input_tokens), 0)::text as "input_tokens!: Sum",
    coalesce(sum(r.cache_read_tokens), 0)::text as "cache_read_tokens!: Sum",
    coalesce(sum(r.cache_write_5m_tokens), 0)::text as "cache_write_5m_tokens!: Sum",
    coalesce(sum(r.cache_write_1h_tokens), 0)::text as "cache_write_1h_tokens!: Sum",
    coalesce(sum(r.output_tokens), 0)::text as "output_tokens!: Sum",
    coalesce(sum(r.reasoning_tokens), 0)::text as "reasoning_tokens!: Sum",
    coalesce(sum(r.unclassified_tokens), 0)::text as "unclassified_tokens!: Sum",
    coalesce(sum(r.total_tokens), 0)::text as "total_tokens!: Sum",
    coalesce(sum(r.request_count), 0)::text as "request_count!: Sum",
    coalesce(sum(r.bucket_count), 0)::text as "bucket_count!: Sum"
from rollup.daily r
where r.user_id = $1
  and r.day between $2 and $3
  and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
