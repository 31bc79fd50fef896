-- Why: rollups are summed by local hour and by week too. Which hour a half hour belongs to, and with which day an
-- interval of the calendar begins, is needed by the statements that sum and by the ones that list intervals. Each formula
-- is one function of the kernel, as in 0017, and the planner writes its body into the statement that calls it.
-- Meaning of stored rows: unchanged. Way back: return to the release before this one, then drop the functions.
set local lock_timeout = '5s';

create function usage.first_of_hour(half_hour timestamptz, time_zone text) returns timestamptz
language sql stable parallel safe
return case
    when extract(minute from half_hour at time zone time_zone) >= 30
        and ((half_hour - interval '30 minutes') at time zone time_zone)
            = (half_hour at time zone time_zone) - interval '30 minutes'
    then half_hour - interval '30 minutes'
    else half_hour
end;
comment on function usage.first_of_hour(timestamptz, text) is
    'The first half hour that begins in the same local hour as this one. An hour ends where clocks change, so that an hour that comes twice is two.';

create function usage.first_day_of(day date, unit text, days_before_monday integer) returns date
language sql immutable parallel safe
return date_trunc(unit, (day + days_before_monday)::timestamp)::date - days_before_monday;
comment on function usage.first_day_of(date, text, integer) is
    'The first day of the day, week or month that a day is in. A week begins so many days before Monday; for other units that is 0.';

revoke all on function usage.first_of_hour(timestamptz, text) from public;
revoke all on function usage.first_day_of(date, text, integer) from public;
grant execute on function usage.first_of_hour(timestamptz, text) to halfhour_api, halfhour_worker;
grant execute on function usage.first_day_of(date, text, integer) to halfhour_api, halfhour_worker;
