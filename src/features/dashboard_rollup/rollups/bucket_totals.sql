-- Sums the buckets over a whole range. Sums are text, as in daily_totals.sql.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing; $7 time_zone: of the local days.
-- Index: bucket_pkey. The window gives the index its bounds, and the local date is compared
-- besides.
select
    coalesce(sum(b.input_tokens), 0)::text as "input_tokens!: Sum",
    coalesce(sum(b.cache_read_tokens), 0)::text as "cache_read_tokens!: Sum",
    coalesce(sum(b.cache_write_5m_tokens), 0)::text as "cache_write_5m_tokens!: Sum",
    coalesce(sum(b.cache_write_1h_tokens), 0)::text as "cache_write_1h_tokens!: Sum",
    coalesce(sum(b.output_tokens), 0)::text as "output_tokens!: Sum",
    coalesce(sum(b.reasoning_tokens), 0)::text as "reasoning_tokens!: Sum",
    coalesce(sum(b.unclassified_tokens), 0)::text as "unclassified_tokens!: Sum",
    coalesce(sum(b.total_tokens), 0)::text as "total_tokens!: Sum",
    coalesce(sum(b.request_count), 0)::text as "request_count!: Sum",
    count(*)::text as "bucket_count!: Sum"
from usage.bucket b
where b.user_id = $1
  and b.hour_start >= usage.window_start($2::date, $7::text)
  and b.hour_start < usage.window_end($3::date, $7::text)
  and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
  and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
