//! The kernel's functions of local days in every time zone that a user can be in: they say what the formulas said that
//! they replaced, and what a walk through the day in quarters of an hour finds.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::support::TestApp;

/// Every zone on every one of `$days`: how many that is, and the first where a function and its formula part.
const FORMULAS: &str = "
    with asked as (
        select z.name as zone, d.day from account.time_zone z cross join unnest('{$days}'::date[]) d (day)
    ),
    compared as (
        select
            a.zone, a.day,
            (usage.window_start(a.day, a.zone), usage.window_end(a.day, a.zone), usage.local_day_start(a.day, a.zone))
                as by_function,
            (
                (a.day::timestamp at time zone a.zone) - interval '3 hours',
                ((a.day + 1)::timestamp at time zone a.zone) + interval '3 hours',
                case when (n.early at time zone a.zone) = m.local then n.early else m.late end
            ) as by_formula
        from asked a
        cross join lateral (
            select a.day::timestamp as local, a.day::timestamp at time zone a.zone as late
        ) m
        cross join lateral (
            select m.late - interval '3 hours'
                + (m.local - ((m.late - interval '3 hours') at time zone a.zone)) as early
        ) n
    )
    select concat_ws(
        ' ', count(*),
        min(concat_ws(' ', zone, day, by_function, by_formula)) filter (where by_function is distinct from by_formula)
    )
    from compared";

/// The days of `$year` on which clocks change, and their neighbours, in every zone: how many they are, on how many
/// PostgreSQL's own midnight is not the first instant, and the first day on which the functions are wrong.
const CALENDAR: &str = "
    with midnight as (
        select
            z.name as zone, d.day::date as day,
            d.day at time zone z.name as late,
            (d.day at time zone z.name) - lag(d.day at time zone z.name) over w as before,
            lead(d.day at time zone z.name) over w - (d.day at time zone z.name) as after
        from account.time_zone z
        cross join generate_series('$year-01-01'::timestamp, '$year-12-31', interval '1 day') d (day)
        window w as (partition by z.name order by d.day)
    ),
    walked as (
        select m.zone, m.day, m.late, w.first_instant, w.last_quarter
        from midnight m
        cross join lateral (
            select min(q.at) as first_instant, max(q.at) as last_quarter
            from generate_series(
                m.day::timestamp at time zone 'UTC' - interval '15 hours',
                m.day::timestamp at time zone 'UTC' + interval '39 hours',
                interval '15 minutes'
            ) q (at)
            where (q.at at time zone m.zone)::date = m.day
        ) w
        where m.before <> interval '24 hours' or m.after <> interval '24 hours'
    )
    select concat_ws(
        ' ', count(*), count(*) filter (where late <> first_instant),
        min(concat_ws(' ', zone, day)) filter (
            where (usage.local_day_start(day, zone) = first_instant
                and usage.window_start(day, zone) <= first_instant
                and usage.window_end(day, zone) > last_quarter) is not true
        )
    )
    from walked";

/// Every half hour around the days of `$year` on which clocks change, in every zone: how many there are, how many hours
/// are cut, and the first half hour whose hour begins with another one than a walk through the half hours finds.
const HOURS: &str = "
    with changing as (
        select z.name as zone, d.day
        from account.time_zone z
        cross join generate_series('$year-01-01'::timestamp, '$year-12-31', interval '1 day') d (day)
        where ((d.day + interval '1 day') at time zone z.name) - (d.day at time zone z.name) <> interval '24 hours'
    ),
    walked as (
        select
            c.zone, c.day, h.at, w.shown,
            lag(w.shown) over v is not null
                and (lag(w.shown) over v <> w.shown - interval '30 minutes'
                    or date_trunc('hour', lag(w.shown) over v) <> date_trunc('hour', w.shown)) as begins
        from changing c
        cross join lateral generate_series(
            c.day at time zone 'UTC' - interval '15 hours',
            c.day at time zone 'UTC' + interval '39 hours',
            interval '30 minutes'
        ) h (at)
        cross join lateral (select h.at at time zone c.zone as shown) w
        window v as (partition by c.zone, c.day order by h.at)
    ),
    known as (
        select w.*, max(w.at) filter (where w.begins) over (partition by w.zone, w.day order by w.at) as first
        from walked w
    )
    select concat_ws(
        ' ', count(*), count(*) filter (where begins and extract(minute from shown) >= 30),
        min(concat_ws(' ', zone, at, first, usage.first_of_hour(at, zone))) filter (
            where usage.first_of_hour(at, zone) is distinct from first
        )
    )
    from known
    where first is not null";

/// Days that are odd somewhere: Apia had no 30 December 2011, Casey went back three hours at midnight, Lord Howe goes
/// back half an hour, Havana and the Azores have two midnights, Cairo has none.
const ODD: [&str; 7] =
    ["2011-12-30", "2011-12-31", "2021-03-14", "2026-04-05", "2026-11-01", "2026-10-25", "2026-04-24"];

#[tokio::test]
async fn the_functions_of_local_days_say_in_every_zone_what_the_formulas_said() {
    let app = TestApp::start().await;
    let day = (2020..2100_i32, 1..=366_u32).prop_filter_map("no such day", |(year, number)| {
        chrono::NaiveDate::from_yo_opt(year, number).map(|day| day.to_string())
    });
    let days = prop::collection::vec(day, 40).new_tree(&mut TestRunner::default()).unwrap().current();
    let asked: Vec<&str> = days.iter().map(String::as_str).chain(ODD).collect();
    let zones: usize = app.ask("select count(*)::text from account.time_zone").await[0].parse().unwrap();
    assert!(zones > 400, "only {zones} zones");
    let found = app.ask(&FORMULAS.replace("$days", &asked.join(","))).await;
    assert_eq!(found, [(zones * asked.len()).to_string()], "{asked:?}");
}

#[tokio::test]
async fn a_walk_through_every_day_on_which_clocks_change_finds_its_first_instant_and_stays_in_the_window() {
    let app = TestApp::start().await;
    let year = (2020..2040_i32).new_tree(&mut TestRunner::default()).unwrap().current();
    let found = app.ask(&CALENDAR.replace("$year", &year.to_string())).await;
    let counts: Vec<usize> = found[0].split(' ').map_while(|word| word.parse().ok()).collect();
    let [days, ambiguous] = counts[..] else { panic!("{year}: {found:?}") };
    assert!(days > 500 && ambiguous > 0, "{year}: {found:?}");
    assert_eq!(found[0].split(' ').count(), 2, "{year}: {found:?}");
}

#[tokio::test]
async fn a_walk_through_the_half_hours_around_every_change_of_clocks_finds_the_first_of_each_hour() {
    let app = TestApp::start().await;
    let year = (2020..2040_i32).new_tree(&mut TestRunner::default()).unwrap().current();
    for year in [2020, year] {
        let found = app.ask(&HOURS.replace("$year", &year.to_string())).await;
        let counts: Vec<usize> = found[0].split(' ').map_while(|word| word.parse().ok()).collect();
        let [half_hours, cut] = counts[..] else { panic!("{year}: {found:?}") };
        // Lord Howe changes by half an hour, and Chatham's hours are at a quarter to.
        assert!(half_hours > 20_000 && cut >= 2, "{year}: {found:?}");
        assert_eq!(found[0].split(' ').count(), 2, "{year}: {found:?}");
    }
}

#[tokio::test]
async fn the_first_day_of_a_week_is_the_monday_or_sunday_before_and_other_units_have_their_own() {
    let app = TestApp::start().await;
    let wrong = "
        select min(concat_ws(' ', d.day::date, m.first_day, s.first_day))
        from generate_series('1970-01-01'::timestamp, '2100-12-31', interval '1 day') d (day)
        cross join lateral (select usage.first_day_of(d.day::date, 'week', 0)) m (first_day)
        cross join lateral (select usage.first_day_of(d.day::date, 'week', 1)) s (first_day)
        where extract(isodow from m.first_day) <> 1 or d.day::date - m.first_day not between 0 and 6
            or extract(isodow from s.first_day) <> 7 or d.day::date - s.first_day not between 0 and 6
            or usage.first_day_of(d.day::date, 'day', 0) <> d.day::date
            or usage.first_day_of(d.day::date, 'month', 0) <> to_char(d.day, 'YYYY-MM-01')::date
        having count(*) > 0";
    assert_eq!(app.ask(wrong).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_planner_writes_the_functions_into_a_statement_of_every_role_that_may_call_them() {
    let app = TestApp::start().await;
    for role in ["halfhour_api", "halfhour_worker"] {
        // The role lasts as long as these statements, which are sent at once.
        let plan = app
            .ask(&format!(
                "set local role {role};
                 explain (verbose, costs off)
                 select
                     usage.local_day_start(s.frozen_before, s.time_zone),
                     usage.first_of_hour(b.hour_start, s.time_zone),
                     usage.first_day_of((b.hour_start at time zone s.time_zone)::date, b.source, s.version::integer)
                 from rollup.user_state s
                 join usage.bucket b
                     on b.user_id = s.user_id
                     and b.hour_start >= usage.window_start(s.frozen_before, s.time_zone)
                     and b.hour_start < usage.window_end(s.frozen_before, s.time_zone)"
            ))
            .await
            .join("\n");
        for name in ["local_day_start", "window_start", "window_end", "first_of_hour", "first_day_of"] {
            assert!(!plan.contains(name), "{name} is called for each row:\n{plan}");
        }
        assert!(plan.contains("AT TIME ZONE"), "{plan}");
    }
}

#[tokio::test]
async fn only_the_roles_that_read_usage_may_call_its_functions() {
    let app = TestApp::start().await;
    let sql = "
        select p.proname || ' ' || string_agg(coalesce(r.rolname, 'public'), ' ' order by r.rolname nulls first)
        from pg_proc p
        cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        left join pg_roles r on r.oid = a.grantee
        where p.pronamespace = 'usage'::regnamespace and a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner
        group by p.proname
        order by p.proname";
    let names = [
        "first_day_of",
        "first_of_hour",
        "local_day_start",
        "longest_prompt_of",
        "prompt_of",
        "rank_of",
        "rate_of",
        "version_instant",
        "version_total",
        "window_end",
        "window_start",
    ];
    let callers = names.map(|name| format!("{name} halfhour_api halfhour_worker"));
    assert_eq!(app.ask(sql).await, callers);
}
