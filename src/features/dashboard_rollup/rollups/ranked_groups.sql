-- Ranks the tools, models or devices of a range by their tokens, the most first, each beside the
-- range before, and counts and sums all of them.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing; $7 before_from: the first day of the range before, which ends the day before
-- $2; $8 by: source, model or device; $9 limit.
-- Sums are text, as in daily_totals.sql. Index: daily_pkey.
select
    g.name as "name!",
    g.tokens::text as "tokens!: Sum",
    g.tokens_before::text as "tokens_before!: Sum",
    count(*) over () as "groups!",
    (sum(g.tokens) over ())::text as "all_tokens!: Sum",
    (sum(g.tokens_before) over ())::text as "all_tokens_before!: Sum"
from (
    select
        (case $8::text when 'source' then r.source when 'model' then r.model else r.device_id::text end)
            collate "C" as name,
        coalesce(sum(r.total_tokens) filter (where r.day >= $2::date), 0) as tokens,
        coalesce(sum(r.total_tokens) filter (where r.day < $2::date), 0) as tokens_before
    from rollup.daily r
    where r.user_id = $1
      and r.day between $7::date and $3::date
      and (cardinality($4::text[]) = 0 or r.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or r.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or r.device_id = any($6::uuid[]))
    group by 1
) g
order by g.tokens desc, g.tokens_before desc, g.name
limit $9
