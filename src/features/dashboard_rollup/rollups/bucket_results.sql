-- Sums the buckets by interval and by the groups asked for, ascending, and within them by rate. `at` is the first day of a
-- day, week or month, and the first half hour of a half hour or hour in UTC.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing.
-- $7 by_source, $8 by_model, $9 by_device: the groups asked for; the column of any other is empty.
-- $10 unit: half_hour, hour, day, week or month.
-- $11 at, $12 source, $13 model, $14 device_id: the last result of the page before, all null on the
-- first page; $15 limit, of results, each with
-- all its rates.
-- $16 time_zone: of the local days; $17 days_before_monday: how early weeks begin, else 0;
-- $18 book: null for no rates.
-- Sums are text, as in daily_totals.sql.
-- Index: bucket_pkey, name_pkey, span_pkey, as in bucket_totals.sql.
with bucket as materialized (
    select
        b.user_id, b.hour_start, b.device_id, b.source, b.model,
        b.input_tokens, b.cache_read_tokens, b.cache_write_5m_tokens, b.cache_write_1h_tokens,
        b.output_tokens, b.reasoning_tokens, b.unclassified_tokens, b.total_tokens, b.request_count,
        usage.prompt_of(b) as prompt_tokens, usage.longest_prompt_of(b) as longest_prompt
    from usage.bucket b
    where b.user_id = $1
      and b.hour_start >= usage.window_start($2::date, $16::text)
      and b.hour_start < usage.window_end($3::date, $16::text)
      and (b.hour_start at time zone $16::text)::date between $2::date and $3::date
      and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
),
pair as materialized (
    select b.source, b.model, min(b.hour_start) as first_hour, max(b.hour_start) as last_hour
    from bucket b
    where $18::integer is not null
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
        where n.book = $18::integer and n.source in ('', p.source) and n.name = p.model
        order by n.source desc
        limit 1
    ) n
    cross join lateral (
        select v.*
        from price.span v
        where v.book = $18::integer
          and v.sku = n.sku
          and v.from_hour <= p.last_hour
          and v.to_hour > p.first_hour
          and v.from_hour >= coalesce((
              select max(w.from_hour)
              from price.span w
              where w.book = $18::integer and w.sku = n.sku and w.from_hour <= p.first_hour
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
            case $10::text
                when 'half_hour' then b.hour_start at time zone 'UTC'
                when 'hour' then usage.first_of_hour(b.hour_start, $16::text) at time zone 'UTC'
                else usage.first_day_of((b.hour_start at time zone $16::text)::date, $10::text, $17::integer)::timestamp
            end as at,
            case when $7::boolean then b.source else '' end as source,
            case when $8::boolean then b.model else '' end as model,
            case when $9::boolean then b.device_id else '00000000-0000-0000-0000-000000000000' end as device_id,
            b.rate_id,
            sum(b.input_tokens)::text as input_tokens,
            sum(b.cache_read_tokens)::text as cache_read_tokens,
            sum(b.cache_write_5m_tokens)::text as cache_write_5m_tokens,
            sum(b.cache_write_1h_tokens)::text as cache_write_1h_tokens,
            sum(b.output_tokens)::text as output_tokens,
            sum(b.reasoning_tokens)::text as reasoning_tokens,
            sum(b.unclassified_tokens)::text as unclassified_tokens,
            sum(b.total_tokens)::text as total_tokens,
            sum(b.request_count)::text as request_count,
            count(*)::text as bucket_count
        from rated b
        group by 1, 2, 3, 4, 5
    ) s
    where $11::timestamp is null
       or (s.at, s.source, s.model, s.device_id) > ($11::timestamp, $12::text, $13::text, $14::uuid)
) g
where g.place <= $15
order by g.at, g.source, g.model, g.device_id, g.rate_id
