-- Ranks the tools, models or devices of a range by the tokens of their buckets, the most first, each
-- beside the range before, and counts and sums all of them.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing; $7 before_from: the first day of the range before, which ends the day before
-- $2; $8 by: source, model or device; $9 limit;
-- $10 time_zone: of the local days.
-- Sums are text, as in daily_totals.sql. Index: bucket_pkey, as in bucket_totals.sql.
select
    g.name as "name!",
    g.tokens::text as "tokens!: Sum",
    g.tokens_before::text as "tokens_before!: Sum",
    count(*) over () as "groups!",
    (sum(g.tokens) over ())::text as "all_tokens!: Sum",
    (sum(g.tokens_before) over ())::text as "all_tokens_before!: Sum"
from (
    select
        (case $8::text when 'source' then b.source when 'model' then b.model else b.device_id::text end)
            collate "C" as name,
        coalesce(sum(b.total_tokens) filter (
            where (b.hour_start at time zone $10::text)::date >= $2::date
        ), 0) as tokens,
        coalesce(sum(b.total_tokens) filter (
            where (b.hour_start at time zone $10::text)::date < $2::date
        ), 0) as tokens_before
    from usage.bucket b
    where b.user_id = $1
      and b.hour_start >= usage.window_start($7::date, $10::text)
      and b.hour_start < usage.window_end($3::date, $10::text)
      and (b.hour_start at time zone $10::text)::date between $7::date and $3::date
      and (cardinality($4::text[]) = 0 or b.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or b.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or b.device_id = any($6::uuid[]))
    group by 1
) g
order by g.tokens desc, g.tokens_before desc, g.name
limit $9
