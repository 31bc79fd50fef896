-- Finds the first instant of a local day.
-- $1 day; $2 time_zone.
-- Index: none; reads no table.
select usage.local_day_start($1::date, $2::text) as "first_instant!"
