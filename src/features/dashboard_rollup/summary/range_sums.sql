-- Sums a range and the range before it, each as a whole, by source and by model. A range without
-- usage has no row. The wholes and the sources come first, and then as many models as the limit
-- leaves room for.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 before_from: the first day of the range
-- before, which ends the day before $2; $5 sources, $6 models, $7 devices: an empty list filters
-- nothing; $8 limit.
-- Sums are text, because a sum of bigints can be larger than a bigint. Index: daily_pkey.
select
    (r.day >= $2::date) as "is_current!",
    case when grouping(r.source) = 0 then r.source end as source,
    case when grouping(r.model) = 0 then r.model end as model,
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
  and r.day between $4::date and $3::date
  and (cardinality($5::text[]) = 0 or r.source = any($5::text[]))
  and (cardinality($6::text[]) = 0 or r.model = any($6::text[]))
  and (cardinality($7::uuid[]) = 0 or r.device_id = any($7::uuid[]))
group by grouping sets (
    ((r.day >= $2::date)), ((r.day >= $2::date), r.source), ((r.day >= $2::date), r.model)
)
order by grouping(r.model) desc, 2, 3, 1 desc
limit $8
