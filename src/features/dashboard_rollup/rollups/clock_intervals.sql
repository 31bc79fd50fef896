-- Lists the half hours or local hours of a range, ascending. `at` is the first half hour of each in
-- UTC, which comes once even where its local time comes twice. A local day has 48 half hours and 24
-- hours, and fewer or more where clocks change. Where they change within an hour, each part of it
-- is an hour of its own, and begins or ends with the change.
-- $1 from, $2 to: local days, inclusive; $3 unit: half_hour or hour; $4 time_zone: of the local
-- days.
-- The window reaches beyond the range, so that each interval of the range has a next one, with
-- which it ends. A change of clocks is looked for to the minute, in the half hour before the first
-- one after it. Antarctica/Casey once changed a minute after midnight.
-- Index: none; reads no table.
with half_hour as materialized (
    select h.hour_start, l.local_time,
        case when $3::text = 'hour' then date_trunc('hour', l.local_time) else l.local_time end as local_start
    from generate_series(
        date_bin('30 minutes', usage.window_start($1::date, $4::text), '2020-01-01T00:00:00Z'),
        usage.window_end($2::date, $4::text),
        interval '30 minutes'
    ) h (hour_start)
    cross join lateral (select h.hour_start at time zone $4::text) l (local_time)
    where $3::text = 'half_hour' or usage.first_of_hour(h.hour_start, $4::text) = h.hour_start
),
opening as (
    select
        h.hour_start at time zone 'UTC' as at,
        h.local_start,
        case
            when h.local_start = h.local_time then h.hour_start
            when (n.starts_at at time zone $4::text) = h.local_start then n.starts_at
            else (
                select min(m.starts_at)
                from generate_series(
                    h.hour_start - interval '29 minutes', h.hour_start, interval '1 minute'
                ) m (starts_at)
                where (m.starts_at at time zone $4::text) - h.local_time = m.starts_at - h.hour_start
            )
        end as starts_at
    from half_hour h
    -- Where the hour begins if no clock changes in it.
    cross join lateral (select h.hour_start - (h.local_time - h.local_start)) n (starts_at)
)
select i.at as "at!", i.local_start as "local_start!", i.starts_at as "starts_at!", i.ends_at as "ends_at!"
from (
    select o.at, o.local_start, o.starts_at, lead(o.starts_at) over (order by o.at) as ends_at
    from opening o
) i
where i.local_start::date between $1::date and $2::date
order by i.at
