-- Sums the rollup over a whole range, by rate. Sums are text, because a sum of bigints can be larger than a
-- bigint.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing.
-- Index: daily_pkey.
select
    r.rate_id as "rate_id!",
    sum(r.input_tokens)::text as "input_tokens!: Sum",
    sum(r.cache_read_tokens)::text as "cache_read_tokens!: Sum",
    sum(r.cache_write_5m_tokens)::text as "cache_write_5m_tokens!: Sum",
    sum(r.cache_write_1h_tokens)::text as "cache_write_1h_tokens!: Sum",
    sum(r.output_tokens)::text as "output_tokens!: Sum",
    sum(r.reasoning_tokens)::text as "reasoning_tokens!: Sum",
    sum(r.unclassified_tokens)::text as "unclassified_tokens!: Sum",
    sum(r.total_tokens)::text as "total_tokens!: Sum",
    sum(r.request_count)::text as "request_count!: Sum",
    sum(r.bucket_count)::text as "bucket_count!: Sum"
from rollup.daily r
where r.user_id = $1
  and r.day between $2 and $3
  and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
group by r.rate_id
