-- Counts the active days of a range and of the range before it, and finds the streaks of the whole
-- history. A day is active where tokens or requests were counted; a row of zeros is no activity. A
-- streak is a run of active days. The current streak reaches to today, or to yesterday as long as
-- today has no usage.
-- $1 user_id; $2 from, $3 to: local days, inclusive; $4 before_from: the first day of the range
-- before, which ends the day before $2; $5 sources, $6 models, $7 devices: an empty list filters
-- nothing; $8 today.
-- Index: daily_pkey alone. It holds every column that is named here, so that the table is not read.
with active as (
    select r.day
    from rollup.daily r
    where r.user_id = $1
      and r.is_active
      and (cardinality($5::text[]) = 0 or r.source = any($5::text[]))
      and (cardinality($6::text[]) = 0 or r.model = any($6::text[]))
      and (cardinality($7::uuid[]) = 0 or r.device_id = any($7::uuid[]))
    group by r.day
),
-- Days of one run have one distance from their number.
streak as (
    select count(*) as days, max(n.day) as last_day
    from (select a.day, a.day - row_number() over (order by a.day)::integer as run from active a) n
    group by n.run
)
select
    (select count(*) from active a where a.day between $2::date and $3::date) as "active_days!",
    (select count(*) from active a where a.day between $4::date and $2::date - 1) as "active_days_before!",
    coalesce((select max(s.days) from streak s where s.last_day >= $8::date - 1), 0) as "current_streak!",
    coalesce((select max(s.days) from streak s), 0) as "longest_streak!"
