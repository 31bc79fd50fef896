-- The half hours of a range, as many as its local days have, ascending, with their local start.
-- $1 from, $2 to: local days, inclusive; $3 time_zone: whose days.
-- Index: none; reads no table.
select
    h.hour_start as "hour_start!",
    h.hour_start at time zone $3::text as "local_start!"
from generate_series(
    -- Wide enough for a midnight that is skipped or comes twice; the date is exact.
    date_bin('30 minutes', $1::date::timestamp at time zone $3::text, '2020-01-01T00:00:00Z') - interval '3 hours',
    (($2::date + 1)::timestamp at time zone $3::text) + interval '3 hours',
    interval '30 minutes'
) h (hour_start)
where (h.hour_start at time zone $3::text)::date between $1::date and $2::date
order by h.hour_start
