-- Lists the half hours of a range, ascending, with their local start. A local day has 48 of
-- them, and fewer or more where clocks change.
-- $1 from, $2 to: local days, inclusive; $3 time_zone: of the local days.
-- Index: none; reads no table.
select
    h.hour_start as "hour_start!",
    h.hour_start at time zone $3::text as "local_start!"
from generate_series(
    date_bin('30 minutes', usage.window_start($1::date, $3::text), '2020-01-01T00:00:00Z'),
    usage.window_end($2::date, $3::text),
    interval '30 minutes'
) h (hour_start)
where (h.hour_start at time zone $3::text)::date between $1::date and $2::date
order by h.hour_start
