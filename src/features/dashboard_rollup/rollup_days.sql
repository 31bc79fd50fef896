-- Sums by local day, and within a day by the groups asked for; ascending by day, source, model, device.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty list filters nothing.
-- $7 by_source, $8 by_model, $9 by_device: the groups; $10 limit: rows; $11 time_zone: the rollup's.
-- Sums as text: a sum of bigints can be larger than a bigint. Index: daily_pkey.
with result as materialized (
    select
        r.day,
        case when $7::boolean then r.source end as source,
        case when $8::boolean then r.model end as model,
        case when $9::boolean then r.device_id end as device_id,
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
      and r.day between $2 and $3
      and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
    group by 1, 2, 3, 4
    order by 1, 2, 3, 4
    limit $10
),
-- When each day begins. Where midnight comes twice PostgreSQL takes the later one; the clock as it went three hours
-- before leads to the earlier one, if it is one.
midnight as (
    select m.day, case when (n.early at time zone $11) = m.local then n.early else m.late end as begins_at
    from (
        select d.day, d.day::timestamp as local, d.day::timestamp at time zone $11::text as late
        from (select r.day from result r union select r.day + 1 from result r) d
    ) m
    cross join lateral (
        select m.late - interval '3 hours'
            + (m.local - ((m.late - interval '3 hours') at time zone $11)) as early
    ) n
)
select
    r.day as "day!",
    opening.begins_at as "starts_at!",
    closing.begins_at as "ends_at!",
    r.source,
    r.model,
    r.device_id,
    r.input_tokens as "input_tokens!",
    r.cache_read_tokens as "cache_read_tokens!",
    r.cache_write_5m_tokens as "cache_write_5m_tokens!",
    r.cache_write_1h_tokens as "cache_write_1h_tokens!",
    r.output_tokens as "output_tokens!",
    r.reasoning_tokens as "reasoning_tokens!",
    r.unclassified_tokens as "unclassified_tokens!",
    r.total_tokens as "total_tokens!",
    r.request_count as "request_count!",
    r.bucket_count as "bucket_count!"
from result r
join midnight opening on opening.day = r.day
join midnight closing on closing.day = r.day + 1
order by r.day, r.source, r.model, r.device_id
