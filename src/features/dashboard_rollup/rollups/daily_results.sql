-- Sums the rollup by interval and by the groups asked for, ascending, and within them by rate. `at` is the first day of the
-- interval.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing.
-- $7 by_source, $8 by_model, $9 by_device: the groups asked for; the column of any other is empty.
-- $10 unit: day, week or month.
-- $11 at, $12 source, $13 model, $14 device_id: the last result of the page before, all null on the
-- first page; $15 limit, of results, each with
-- all its rates; $16 days_before_monday: how early weeks begin, else 0.
-- Sums are text, as in daily_totals.sql. Index: daily_pkey.
select
    g.at as "at!",
    g.source as "source!",
    g.model as "model!",
    g.device_id as "device_id!",
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
    select s.*, dense_rank() over (order by s.at, s.source, s.model, s.device_id) as place
    from (
        select
            usage.first_day_of(r.day, $10::text, $16::integer)::timestamp as at,
            case when $7::boolean then r.source else '' end as source,
            case when $8::boolean then r.model else '' end as model,
            case when $9::boolean then r.device_id else '00000000-0000-0000-0000-000000000000' end as device_id,
            r.rate_id,
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
          and r.day between greatest($2::date, $11::timestamp::date) and $3::date
          and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
          and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
          and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
        group by 1, 2, 3, 4, 5
    ) s
    where $11::timestamp is null
       or (s.at, s.source, s.model, s.device_id) > ($11::timestamp, $12::text, $13::text, $14::uuid)
) g
where g.place <= $15
order by g.at, g.source, g.model, g.device_id, g.rate_id
