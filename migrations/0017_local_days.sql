-- Why: two formulas about local days stood in a dozen statements. A copy that differs from the others gives wrong sums,
-- and only in some zones. Each formula is now one function of the kernel, and every slice may call it.
-- The planner writes the body of such a function into the statement that calls it, because it is one SQL expression, not
-- strict, and without settings of its own. A comparison with a key column therefore stays a condition of the index. The
-- functions are stable and not immutable, because the addition of an interval to a timestamptz is no more than that.
-- Meaning of stored rows: unchanged. Way back: return to the release before this one, then drop the functions.
set local lock_timeout = '5s';

create function usage.window_start(first_day date, time_zone text) returns timestamptz
language sql stable parallel safe
return (first_day::timestamp at time zone time_zone) - interval '3 hours';
comment on function usage.window_start(date, text) is
    'Three hours before the midnight of a local day, as the lower bound of an index condition. It is wide enough for a midnight that is skipped or comes twice, and therefore too wide for anything else: compare the local date besides.';

create function usage.window_end(last_day date, time_zone text) returns timestamptz
language sql stable parallel safe
return ((last_day + 1)::timestamp at time zone time_zone) + interval '3 hours';
comment on function usage.window_end(date, text) is
    'Three hours after the midnight that ends a local day, as the upper bound of an index condition. Compare the local date besides, as with usage.window_start.';

-- Where midnight comes twice, PostgreSQL answers with the later one. The first one is found from usage.window_start, which
-- is three hours before: the time that is missing there on the wall clock is added. What this leads to is the first
-- midnight, if the wall clock then shows midnight at all. Where midnight is skipped it does not, and PostgreSQL's own
-- answer, the end of the gap, is the first instant.
create function usage.local_day_start(day date, time_zone text) returns timestamptz
language sql stable parallel safe
return case
    when (
        usage.window_start(day, time_zone) + (day::timestamp - (usage.window_start(day, time_zone) at time zone time_zone))
    ) at time zone time_zone = day::timestamp
    then usage.window_start(day, time_zone) + (day::timestamp - (usage.window_start(day, time_zone) at time zone time_zone))
    else day::timestamp at time zone time_zone
end;
comment on function usage.local_day_start(date, text) is
    'The first instant of a local day. That is midnight, the first one where midnight comes twice, or the end of the gap where midnight is skipped.';

revoke all on function usage.window_start(date, text) from public;
revoke all on function usage.window_end(date, text) from public;
revoke all on function usage.local_day_start(date, text) from public;
grant execute on function usage.window_start(date, text) to halfhour_api, halfhour_worker;
grant execute on function usage.window_end(date, text) to halfhour_api, halfhour_worker;
grant execute on function usage.local_day_start(date, text) to halfhour_api, halfhour_worker;
