-- Sums the tokens of a user's buckets by day of the week, from 0 for Monday on, and by hour of the
-- local clock. An hour that comes twice on one day is one here, and one that is skipped has nothing.
-- Only the newest buckets are read, so that a read ends whatever there is. Where there are more, the
-- oldest half hour that was read is left out, for it may have been read in part: `behind`. There is
-- at least one row; it has no hour where nothing is summed.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 sources, $5 models, $6 devices: an empty
-- list filters nothing; $7 time_zone: of the local days; $8 since: nothing before this instant
-- counts, null for no bound; $9 limit: of the buckets that are read, before the filters.
-- Sums are text, because a sum of bigints can be larger than a bigint.
-- Index: bucket_pkey, backward, which ends with the limit.
with newest as materialized (
    select b.user_id, b.hour_start, b.device_id, b.source, b.model, b.total_tokens
    from usage.bucket b
    where b.user_id = $1
      and b.hour_start >= greatest(usage.window_start($2::date, $7::text), $8::timestamptz)
      and b.hour_start < usage.window_end($3::date, $7::text)
    order by b.user_id desc, b.hour_start desc, b.device_id desc, b.source desc, b.model desc
    limit $9
),
cut as materialized (
    select case when count(*) = $9 then min(n.hour_start) end as behind
    from newest n
)
select
    c.behind as "behind?",
    s.weekday as "weekday?",
    s.hour as "hour?",
    s.total_tokens as "total_tokens?: Sum"
from cut c
left join (
    select
        extract(isodow from n.hour_start at time zone $7::text)::integer - 1 as weekday,
        extract(hour from n.hour_start at time zone $7::text)::integer as hour,
        sum(n.total_tokens)::text as total_tokens
    from newest n
    where n.hour_start > coalesce((select k.behind from cut k), '-infinity')
      and (n.hour_start at time zone $7::text)::date between $2::date and $3::date
      and (cardinality($4::text[]) = 0 or n.source = any($4::text[]))
      and (cardinality($5::text[]) = 0 or n.model = any($5::text[]))
      and (cardinality($6::uuid[]) = 0 or n.device_id = any($6::uuid[]))
    group by 1, 2
) s on true
order by s.weekday, s.hour
