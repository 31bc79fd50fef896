-- The first instant of a local day; where midnight comes twice, of the first one, as in rollups/intervals.sql.
-- $1 day; $2 time_zone.
-- Index: none; reads no table.
select
    case when (m.early at time zone $2::text) = m.local then m.early else m.late end as "first_instant!"
from (
    select
        d.local,
        d.late,
        d.late - interval '3 hours' + (d.local - ((d.late - interval '3 hours') at time zone $2::text)) as early
    from (select $1::date::timestamp as local, $1::date::timestamp at time zone $2::text as late) d
) m
