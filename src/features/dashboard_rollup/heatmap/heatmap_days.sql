-- Sums each day of a range, ascending. Days without usage are there with zeros.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing.
-- Sums are text, because a sum of bigints can be larger than a bigint. Index: daily_pkey.
select
    d.day::date as "day!",
    coalesce(u.total_tokens, 0)::text as "total_tokens!: Sum",
    coalesce(u.request_count, 0)::text as "request_count!: Sum"
from generate_series($2::date::timestamp, $3::date::timestamp, interval '1 day') d (day)
left join (
    select r.day, sum(r.total_tokens) as total_tokens, sum(r.request_count) as request_count
    from rollup.daily r
    where r.user_id = $1
      and r.day between $2::date and $3::date
      and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
    group by r.day
) u on u.day = d.day::date
order by d.day
