-- Sums the buckets over a whole range by source, model and rate, ascending. Sums are text, as in
-- daily_totals.sql.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing; $7 time_zone: of the local days; $8 book: null for no rates; $9 limit.
-- Index: bucket_pkey, name_pkey, span_pkey, as in bucket_totals.sql.
with bucket as materialized (
    select
        b.user_id, b.hour_start, b.device_id, b.source, b.model,
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.total_tokens, b.request_count,
        usage.prompt_of(b) as prompt_tokens, usage.longest_prompt_of(b) as longest_prompt
    from usage.bucket b
    where b.user_id = $1
      and b.hour_start >= usage.window_start($2::date, $7::text)
      and b.hour_start < usage.window_end($3::date, $7::text)
      and (b.hour_start at time zone $7::text)::date between $2::date and $3::date
      and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
),
pair as materialized (
    select b.source, b.model, min(b.hour_start) as first_hour, max(b.hour_start) as last_hour
    from bucket b
    where $8::integer is not null
    group by b.source, b.model
),
pair_span as materialized (
    select
        p.source, p.model, v.from_hour, v.to_hour, v.threshold,
        v.short_rate_id, v.long_rate_id, v.range_rate_id
    from pair p
    cross join lateral (
        select n.sku
        from price.name n
        where n.book = $8::integer and n.source in ('', p.source) and n.name = p.model
        order by n.source desc
        limit 1
    ) n
    cross join lateral (
        select v.*
        from price.span v
        where v.book = $8::integer
          and v.sku = n.sku
          and v.from_hour <= p.last_hour
          and v.to_hour > p.first_hour
          and v.from_hour >= coalesce((
              select max(w.from_hour)
              from price.span w
              where w.book = $8::integer and w.sku = n.sku and w.from_hour <= p.first_hour
          ), '-infinity')
        offset 0
    ) v
),
rated as (
    select
        b.*,
        usage.rate_of(
            v.threshold, b.request_count, b.prompt_tokens, b.longest_prompt,
            v.short_rate_id, v.long_rate_id, v.range_rate_id
        ) as rate_id
    from bucket b
    left join pair_span v on v.source = b.source
        and v.model = b.model
        and b.hour_start >= v.from_hour
        and b.hour_start < v.to_hour
)
select
    r.source as "source!",
    r.model as "model!",
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
    count(*)::text as "bucket_count!: Sum"
from rated r
group by r.source, r.model, r.rate_id
order by r.source, r.model, r.rate_id
limit $9
