-- Sums a range and the range before it, each as a whole, by source and by model, and within
-- them by rate. A range without
-- usage has no row. The wholes and the sources come first, and then as many models as the limit
-- leaves room for.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 before_from: the first day of the range
-- before, which ends the day before $2; $5 sources, $6 models, $7 devices: an empty list filters
-- nothing; $8 limit: of wholes, sources and models, each with all its rates.
-- Sums are text, because a sum of bigints can be larger than a bigint. Index: daily_pkey.
select
    g.is_current as "is_current!",
    g.source,
    g.model,
    g.rate_id as "rate_id!",
    g.input_tokens as "input_tokens!: Sum",
    g.cache_read_tokens as "cache_read_tokens!: Sum",
    g.cache_write_5m_tokens as "cache_write_5m_tokens!: Sum",
    g.cache_write_1h_tokens as "cache_write_1h_tokens!: Sum",
    g.output_tokens as "output_tokens!: Sum",
    g.reasoning_tokens as "reasoning_tokens!: Sum",
    g.unclassified_tokens as "unclassified_tokens!: Sum",
    g.total_tokens as "total_tokens!: Sum",
    g.request_count as "request_count!: Sum",
    g.bucket_count as "bucket_count!: Sum"
from (
    select s.*, dense_rank() over (order by s.is_no_model desc, s.source, s.model, s.is_current desc) as place
    from (
        select
            (r.day >= $2::date) as is_current,
            case when grouping(r.source) = 0 then r.source end as source,
            case when grouping(r.model) = 0 then r.model end as model,
            r.rate_id,
            grouping(r.model) as is_no_model,
            sum(r.input_tokens)::text as input_tokens,
            sum(r.cache_read_tokens)::text as cache_read_tokens,
            sum(r.cache_write_5m_tokens)::text as cache_write_5m_tokens,
            sum(r.cache_write_1h_tokens)::text as cache_write_1h_tokens,
            sum(r.output_tokens)::text as output_tokens,
            sum(r.reasoning_tokens)::text as reasoning_tokens,
            sum(r.unclassified_tokens)::text as unclassified_tokens,
            sum(r.total_tokens)::text as total_tokens,
            sum(r.request_count)::text as request_count,
            sum(r.bucket_count)::text as bucket_count
        from rollup.daily r
        where r.user_id = $1
          and r.day between $4::date and $3::date
          and (cardinality($5::text[]) = 0 or r.source = any($5::text[]))
          and (cardinality($6::text[]) = 0 or r.model = any($6::text[]))
          and (cardinality($7::uuid[]) = 0 or r.device_id = any($7::uuid[]))
        group by grouping sets (
            ((r.day >= $2::date), r.rate_id),
            ((r.day >= $2::date), r.rate_id, r.source),
            ((r.day >= $2::date), r.rate_id, r.model)
        )
    ) s
) g
where g.place <= $8
order by g.is_no_model desc, g.source, g.model, g.is_current desc, g.rate_id
