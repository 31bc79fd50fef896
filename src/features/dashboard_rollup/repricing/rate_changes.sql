-- Sums the buckets of all users whose rate is another one in one price book than in the one before,
-- by what is sold, by UTC month and by both rates, ascending. What the former book prices otherwise is
-- found by the pairs of source and model that there are; buckets of other pairs are not looked up.
-- $1 former_book: null for no rates; $2 book.
-- Sums are text, as in daily_totals.sql. The users and days of a sku and month come with each of its
-- rows, and those of all with every row.
-- Index: name_pkey, span_pkey. It reads the whole of usage.bucket, for an operator who plans.
with pair as materialized (
    select distinct b.source, b.model from usage.bucket b
),
named as materialized (
    select p.source, p.model, f.sku as former_sku, n.sku
    from pair p
    left join lateral (
        select n.sku
        from price.name n
        where n.book = $1::integer and n.source in ('', p.source) and n.name = p.model
        order by n.source desc
        limit 1
    ) f on true
    left join lateral (
        select n.sku
        from price.name n
        where n.book = $2::integer and n.source in ('', p.source) and n.name = p.model
        order by n.source desc
        limit 1
    ) n on true
    where f.sku is not null or n.sku is not null
),
other as materialized (
    select d.*
    from named d
    where exists (
        (
            select v.from_hour, v.to_hour, v.threshold, v.short_rate_id, v.long_rate_id, v.range_rate_id
            from price.span v
            where v.book = $1::integer and v.sku = d.former_sku
            except
            select v.from_hour, v.to_hour, v.threshold, v.short_rate_id, v.long_rate_id, v.range_rate_id
            from price.span v
            where v.book = $2::integer and v.sku = d.sku
        )
        union all
        (
            select v.from_hour, v.to_hour, v.threshold, v.short_rate_id, v.long_rate_id, v.range_rate_id
            from price.span v
            where v.book = $2::integer and v.sku = d.sku
            except
            select v.from_hour, v.to_hour, v.threshold, v.short_rate_id, v.long_rate_id, v.range_rate_id
            from price.span v
            where v.book = $1::integer and v.sku = d.former_sku
        )
    )
),
change as materialized (
    select
        b.*,
        coalesce(d.sku, d.former_sku) as sku,
        (b.hour_start at time zone 'UTC')::date as utc_day,
        date_trunc('month', b.hour_start at time zone 'UTC')::date as utc_month,
        r.former_rate_id,
        r.rate_id
    from other d
    join usage.bucket b on b.source = d.source and b.model = d.model
    left join lateral (
        select v.*
        from price.span v
        where v.book = $1::integer and v.sku = d.former_sku and v.from_hour <= b.hour_start
        order by v.from_hour desc
        limit 1
    ) f on f.to_hour > b.hour_start
    left join lateral (
        select v.*
        from price.span v
        where v.book = $2::integer and v.sku = d.sku and v.from_hour <= b.hour_start
        order by v.from_hour desc
        limit 1
    ) n on n.to_hour > b.hour_start
    cross join lateral (
        select
            usage.rate_of(
                f.threshold, b.request_count, usage.prompt_of(b), usage.longest_prompt_of(b),
                f.short_rate_id, f.long_rate_id, f.range_rate_id
            ) as former_rate_id,
            usage.rate_of(
                n.threshold, b.request_count, usage.prompt_of(b), usage.longest_prompt_of(b),
                n.short_rate_id, n.long_rate_id, n.range_rate_id
            ) as rate_id
        offset 0
    ) r
    where r.former_rate_id <> r.rate_id
),
reach as materialized (
    select
        c.sku, c.utc_month,
        count(distinct c.user_id) as users,
        count(distinct (c.user_id, c.utc_day)) as user_days
    from change c
    group by c.sku, c.utc_month
)
select
    c.sku as "sku!",
    c.utc_month as "utc_month!",
    c.former_rate_id as "former_rate_id!",
    c.rate_id as "rate_id!",
    sum(c.input_tokens)::text as "input_tokens!: Sum",
    sum(c.cache_read_tokens)::text as "cache_read_tokens!: Sum",
    sum(c.cache_write_5m_tokens)::text as "cache_write_5m_tokens!: Sum",
    sum(c.cache_write_1h_tokens)::text as "cache_write_1h_tokens!: Sum",
    sum(c.output_tokens)::text as "output_tokens!: Sum",
    sum(c.reasoning_tokens)::text as "reasoning_tokens!: Sum",
    sum(c.unclassified_tokens)::text as "unclassified_tokens!: Sum",
    sum(c.total_tokens)::text as "total_tokens!: Sum",
    sum(c.request_count)::text as "request_count!: Sum",
    count(*)::text as "bucket_count!: Sum",
    min(e.users) as "users!",
    min(e.user_days) as "user_days!",
    (select count(distinct a.user_id) from change a) as "all_users!",
    (select count(distinct (a.user_id, a.utc_day)) from change a) as "all_user_days!"
from change c
join reach e on e.sku = c.sku and e.utc_month = c.utc_month
group by c.sku, c.utc_month, c.former_rate_id, c.rate_id
order by c.sku, c.utc_month, c.former_rate_id, c.rate_id
