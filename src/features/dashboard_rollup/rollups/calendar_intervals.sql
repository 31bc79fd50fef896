-- Lists the days, weeks or months of a range, ascending, each with its first instant and the first
-- instant after it. The first and the last week or month are cut to the range. A day that the zone
-- skips is left out.
-- $1 from, $2 to: local days, inclusive; $3 unit: day, week or month; $4 time_zone: of the local
-- days; $5 days_before_monday: how early weeks begin, else 0.
-- Index: none; reads no table.
with interval_days as materialized (
    select
        u.at,
        greatest(u.at::date, $1::date) as first_day,
        least((u.at + ('1 ' || $3::text)::interval)::date, $2::date + 1) as after_day
    from generate_series(
        usage.first_day_of($1::date, $3::text, $5::integer)::timestamp,
        $2::date::timestamp,
        ('1 ' || $3::text)::interval
    ) u (at)
),
midnight as materialized (
    select d.day, usage.local_day_start(d.day, $4::text) as begins_at
    from (select i.first_day from interval_days i union select i.after_day from interval_days i) d (day)
)
select i.at as "at!", opening.begins_at as "starts_at!", closing.begins_at as "ends_at!"
from interval_days i
join midnight opening on opening.day = i.first_day
join midnight closing on closing.day = i.after_day
where opening.begins_at < closing.begins_at
order by i.at
