-- Sums of the buckets over the whole range and the filters. As text, as in daily_totals.sql.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty list filters nothing;
-- $7 time_zone: whose local days.
-- Index: bucket_pkey. The bounds are wide enough for a midnight that is skipped or comes twice; the date is exact.
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
  and b.hour_start >= ($2::date::timestamp at time zone $7::text) - interval '3 hours'
  and b.hour_start < (($3::date + 1)::timestamp at time zone $7::text) + interval '3 hours'
  and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
  and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
  and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
  and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
