-- Sums a range and the range before it by source, model and rate: what a summary is made of, in one look
-- at each row. The range itself comes first, then the one before, each ascending. Of the parts of the range
-- without a rate it is said whether their model has a name in a book.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 before_from: the first day of the range
-- before, which ends the day before $2; $5 sources, $6 models, $7 devices: an empty list filters
-- nothing; $8 book: null where there is no cost; $9 limit.
-- Sums are text, as in range_sums.sql. Index: daily_pkey, name_pkey.
with part as materialized (
    select
        (r.day >= $2::date) as is_current,
        r.source,
        r.model,
        r.rate_id,
        sum(r.input_tokens) as input_tokens,
        sum(r.cache_read_tokens) as cache_read_tokens,
        sum(r.cache_write_5m_tokens) as cache_write_5m_tokens,
        sum(r.cache_write_1h_tokens) as cache_write_1h_tokens,
        sum(r.output_tokens) as output_tokens,
        sum(r.reasoning_tokens) as reasoning_tokens,
        sum(r.unclassified_tokens) as unclassified_tokens,
        sum(r.total_tokens) as total_tokens,
        sum(r.request_count) as request_count,
        sum(r.bucket_count) as bucket_count
    from rollup.daily r
    where r.user_id = $1
      and r.day between $4::date and $3::date
      and (cardinality($5::text[]) = 0 or r.source = any($5::text[]))
      and (cardinality($6::text[]) = 0 or r.model = any($6::text[]))
      and (cardinality($7::uuid[]) = 0 or r.device_id = any($7::uuid[]))
    group by 1, 2, 3, 4
)
select
    p.is_current as "is_current!",
    p.source as "source!",
    p.model as "model!",
    p.rate_id as "rate_id!",
    p.input_tokens::text as "input_tokens!: Sum",
    p.cache_read_tokens::text as "cache_read_tokens!: Sum",
    p.cache_write_5m_tokens::text as "cache_write_5m_tokens!: Sum",
    p.cache_write_1h_tokens::text as "cache_write_1h_tokens!: Sum",
    p.output_tokens::text as "output_tokens!: Sum",
    p.reasoning_tokens::text as "reasoning_tokens!: Sum",
    p.unclassified_tokens::text as "unclassified_tokens!: Sum",
    p.total_tokens::text as "total_tokens!: Sum",
    p.request_count::text as "request_count!: Sum",
    p.bucket_count::text as "bucket_count!: Sum",
    p.is_current and p.rate_id = 0 and $8::integer is not null and exists (
        select from price.name n where n.book = $8::integer and n.name = p.model and n.source in ('', p.source)
    ) as "is_named!"
from part p
order by p.is_current desc, p.source, p.model, p.rate_id
limit $9
