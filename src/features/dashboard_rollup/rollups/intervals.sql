-- The days or months of a range with their first instant and the first one after them, ascending. The first and the
-- last month are cut to the range; a day that the zone skips is left out.
-- $1 from, $2 to: local days, inclusive; $3 unit: day or month; $4 time_zone: whose days.
-- Index: none; reads no table.
with interval_days as materialized (
    select
        u.at,
        greatest(u.at::date, $1::date) as first_day,
        least((u.at + ('1 ' || $3::text)::interval)::date, $2::date + 1) as after_day
    from generate_series(
        date_trunc($3::text, $1::date::timestamp), $2::date::timestamp, ('1 ' || $3::text)::interval
    ) u (at)
),
-- When each day begins. Where midnight comes twice PostgreSQL takes the later one; the clock as it went three hours
-- before leads to the earlier one, if it is one.
midnight as materialized (
    select m.day, case when (n.early at time zone $4::text) = m.local then n.early else m.late end as begins_at
    from (
        select d.day, d.day::timestamp as local, d.day::timestamp at time zone $4::text as late
        from (select i.first_day from interval_days i union select i.after_day from interval_days i) d (day)
    ) m
    cross join lateral (
        select m.late - interval '3 hours'
            + (m.local - ((m.late - interval '3 hours') at time zone $4::text)) as early
    ) n
)
select i.at as "at!", opening.begins_at as "starts_at!", closing.begins_at as "ends_at!"
from interval_days i
join midnight opening on opening.day = i.first_day
join midnight closing on closing.day = i.after_day
where opening.begins_at < closing.begins_at
order by i.at
