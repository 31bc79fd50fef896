//! What the reads cost: every statement goes by key, and a read of thirty days costs the same however many users there
//! are. The files of the product are explained and run as the application runs them: as `halfhour_api`, under row-level
//! security, with parameters that are really bound.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Connection as _, PgConnection};
use uuid::Uuid;

use super::{DAILY, day};
use crate::support::plans::{
    self, CUSTOM, GENERIC, buffers, descents, fill, filled_user, nodes, outline, scanned, sql, with,
};
use crate::support::{NOW, TestApp, instant};

/// What the pool of reads sets, and the transactions of those who sum.
const AS_SERVED: &str =
    "plan_cache_mode = force_generic_plan; set local enable_seqscan = off; set local enable_sort = off";

/// The book in which buckets are priced.
const BOOK: i32 = 1;

/// The arguments of the statements that sum a range, in their order, as far as they begin alike.
fn range(user: Uuid, models: &[&str]) -> PgArguments {
    let mut arguments = PgArguments::default();
    arguments.add(user).unwrap();
    arguments.add(day("2026-10-22")).unwrap();
    arguments.add(day("2026-11-20")).unwrap();
    filters(&mut arguments, models);
    arguments
}

fn filters(arguments: &mut PgArguments, models: &[&str]) {
    arguments.add(Vec::<String>::new()).unwrap();
    arguments.add(models.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    arguments.add(Vec::<Uuid>::new()).unwrap();
}

fn results(user: Uuid, models: &[&str], unit: &str, after: Option<&str>) -> PgArguments {
    let mut arguments = range(user, models);
    for by in [true, true, true] {
        arguments.add(by).unwrap();
    }
    arguments.add(unit.to_owned()).unwrap();
    arguments.add(after.map(|at| at.parse::<NaiveDateTime>().unwrap())).unwrap();
    arguments.add(after.map(|_| "codex".to_owned())).unwrap();
    arguments.add(after.map(|_| "m2".to_owned())).unwrap();
    arguments.add(after.map(|_| user)).unwrap();
    arguments.add(1001_i64).unwrap();
    arguments
}

/// The same by interval of the calendar, with how many days before Monday its weeks begin.
fn by_calendar(user: Uuid, models: &[&str], unit: &str, after: Option<&str>) -> PgArguments {
    with(results(user, models, unit, after), i32::from(unit == "week"))
}

/// The same from buckets.
fn of_buckets(user: Uuid, models: &[&str], unit: &str, after: Option<&str>) -> PgArguments {
    let arguments = with(results(user, models, unit, after), "Europe/Berlin".to_owned());
    with(with(arguments, i32::from(unit == "week")), BOOK)
}

/// Both ranges of a summary.
fn both_ranges(user: Uuid, models: &[&str]) -> PgArguments {
    let mut arguments = PgArguments::default();
    arguments.add(user).unwrap();
    for date in ["2026-11-06", "2026-11-20", "2026-10-22"] {
        arguments.add(day(date)).unwrap();
    }
    filters(&mut arguments, models);
    arguments
}

/// A ranking beside the range before.
fn ranking(user: Uuid, models: &[&str], by: &str) -> PgArguments {
    with(with(with(range(user, models), day("2026-10-01")), by.to_owned()), 8_i64)
}

/// Hours of the week, of at most so many buckets.
fn week_hours(user: Uuid, models: &[&str], limit: i64) -> PgArguments {
    let arguments = with(with(range(user, models), "Asia/Kathmandu".to_owned()), None::<DateTime<Utc>>);
    with(arguments, limit)
}

fn state(user: Uuid, zone: Option<&str>) -> PgArguments {
    with(with(with(PgArguments::default(), user), instant(NOW)), zone.map(str::to_owned))
}

fn page(user: Uuid, models: &[&str], after: DateTime<Utc>) -> PgArguments {
    let arguments = with(with(range(user, models), "Asia/Kathmandu".to_owned()), after);
    with(with(with(with(arguments, user), "codex".to_owned()), "m1".to_owned()), 1001_i64)
}

/// Every statement of every read that looks at a table, with arguments for thirty days.
fn reads(user: Uuid, models: &[&str]) -> Vec<(&'static str, &'static str, PgArguments)> {
    let all = [
        (sql!("features/dashboard_rollup/state/rollup_state.sql"), state(user, None)),
        (sql!("features/dashboard_rollup/state/rollup_state.sql"), state(user, Some("Asia/Kathmandu"))),
        (sql!("features/dashboard_rollup/state/kept_from.sql"), with(PgArguments::default(), user)),
        (sql!("features/dashboard_rollup/rollups/daily_totals.sql"), range(user, models)),
        (sql!("features/dashboard_rollup/rollups/daily_results.sql"), by_calendar(user, models, "day", None)),
        (
            sql!("features/dashboard_rollup/rollups/daily_results.sql"),
            by_calendar(user, models, "day", Some("2026-11-01T00:00:00")),
        ),
        (sql!("features/dashboard_rollup/rollups/daily_results.sql"), by_calendar(user, models, "week", None)),
        (
            sql!("features/dashboard_rollup/rollups/daily_results.sql"),
            by_calendar(user, models, "week", Some("2026-11-01T00:00:00")),
        ),
        (sql!("features/dashboard_rollup/rollups/daily_results.sql"), by_calendar(user, models, "month", None)),
        (
            sql!("features/dashboard_rollup/rollups/bucket_totals.sql"),
            with(with(range(user, models), "Europe/Berlin".to_owned()), BOOK),
        ),
        (sql!("features/dashboard_rollup/rollups/bucket_results.sql"), of_buckets(user, models, "half_hour", None)),
        (sql!("features/dashboard_rollup/rollups/bucket_results.sql"), of_buckets(user, models, "hour", None)),
        (
            sql!("features/dashboard_rollup/rollups/bucket_results.sql"),
            of_buckets(user, models, "hour", Some("2026-11-01T08:00:00")),
        ),
        (
            sql!("features/dashboard_rollup/rollups/bucket_results.sql"),
            of_buckets(user, models, "day", Some("2026-11-01T00:00:00")),
        ),
        (sql!("features/dashboard_rollup/rollups/bucket_results.sql"), of_buckets(user, models, "week", None)),
        (sql!("features/dashboard_rollup/rollups/ranked_groups.sql"), ranking(user, models, "model")),
        (sql!("features/dashboard_rollup/rollups/ranked_groups.sql"), ranking(user, models, "device")),
        (
            sql!("features/dashboard_rollup/rollups/ranked_bucket_groups.sql"),
            with(ranking(user, models, "source"), "Europe/Berlin".to_owned()),
        ),
        (
            sql!("features/dashboard_rollup/receipt/bucket_cost_lines.sql"),
            with(with(with(range(user, models), "Europe/Berlin".to_owned()), BOOK), 20_001_i64),
        ),
        (sql!("features/dashboard_rollup/receipt/cost_lines.sql"), with(range(user, models), 20_001_i64)),
        (sql!("features/dashboard_rollup/cost/book_day.sql"), with(PgArguments::default(), BOOK)),
        (sql!("features/dashboard_rollup/week_hours/week_hours.sql"), week_hours(user, models, 20_001)),
        (
            sql!("features/dashboard_rollup/summary/range_parts.sql"),
            with(with(both_ranges(user, models), BOOK), 10_001_i64),
        ),
        (sql!("features/dashboard_rollup/summary/range_sums.sql"), with(both_ranges(user, models), 2040_i64)),
        (sql!("features/dashboard_rollup/summary/streaks.sql"), with(both_ranges(user, models), day("2026-11-20"))),
        (sql!("features/dashboard_rollup/heatmap/heatmap_days.sql"), range(user, models)),
        (
            sql!("features/dashboard_rollup/buckets/bucket_page.sql"),
            page(user, models, instant("1970-01-01T00:00:00Z")),
        ),
        (
            sql!("features/dashboard_rollup/buckets/bucket_page.sql"),
            page(user, models, instant("2026-11-01T08:30:00Z")),
        ),
    ];
    all.into_iter().map(|((path, sql), arguments)| (path, sql, arguments)).collect()
}

/// Runs a statement as the application does and returns its plan with what it really touched.
async fn explain(connection: &mut PgConnection, user: Uuid, setting: &str, sql: &str, arguments: PgArguments) -> Value {
    let opening = format!(
        "begin isolation level repeatable read read only; set local role halfhour_api;
         set local app.user_ids = '{user}'; set local jit = off; set local {setting}"
    );
    plans::explain(connection, &opening, sql, arguments).await
}

#[tokio::test]
async fn no_read_scans_a_table_and_its_cost_does_not_depend_on_the_number_of_users() {
    let app = TestApp::start().await;
    app.begin_prices().await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    fill(&app, 1, 10).await;
    let few_user = filled_user(&app, 5).await;
    let mut few = Vec::new();
    for (_, sql, arguments) in reads(few_user, &[]) {
        few.push(buffers(&explain(&mut connection, few_user, AS_SERVED, sql, arguments).await));
    }

    fill(&app, 11, 1990).await;
    let many_user = filled_user(&app, 1234).await;
    let mut rows = 0;
    for (position, few) in few.into_iter().enumerate() {
        let question = |models| reads(many_user, models).remove(position);
        for mode in [CUSTOM, GENERIC] {
            for models in [&[][..], &["m1", "m2", "m3"]] {
                let (path, sql, arguments) = question(models);
                let plan = explain(&mut connection, many_user, mode, sql, arguments).await;
                assert_eq!(scanned(&plan), Vec::<String>::new(), "{path}, {mode}: {plan:#}");
            }
        }
        let (path, sql, arguments) = question(&[]);
        let plan = explain(&mut connection, many_user, AS_SERVED, sql, arguments).await;
        let many = buffers(&plan);
        // A level more of each tree, and days that lie across two pages by chance: 200 times the users, not twice the cost.
        assert!(
            many <= few + descents(&plan) + few / 2,
            "{path}: {few} pages among 10 users, {many} among 2000: {plan:#}"
        );
        rows += plan["Actual Rows"].as_u64().unwrap();
    }
    assert!(rows > 600, "the statements found what they were to read: {rows}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_scan_and_a_costly_plan_are_caught() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let by_model = "select count(*) from rollup.daily where model = any($1::text[])";
    let arguments = with(PgArguments::default(), vec!["m1".to_owned()]);
    let plan = explain(&mut connection, user, "enable_seqscan = on", by_model, arguments).await;
    assert_eq!((scanned(&plan), buffers(&plan) > 20), (vec!["\"daily\"".to_owned()], true), "{plan:#}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_generic_plan_knows_no_values_and_a_custom_one_does() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/heatmap/heatmap_days.sql");
    for (mode, generic) in [(CUSTOM, false), (GENERIC, true), (AS_SERVED, true)] {
        let plan = explain(&mut connection, user, mode, sql, range(user, &["m1"])).await;
        let conditions = nodes(&plan).into_iter().filter_map(|node| node["Index Cond"].as_str());
        assert!(conditions.clone().count() > 0 && conditions.clone().all(|c| c.contains("$1") == generic), "{plan:#}");
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_time_zones_of_the_world_are_only_looked_up_for_another_zone() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/state/rollup_state.sql");
    for mode in [CUSTOM, GENERIC] {
        for (zone, looks) in [(None, 0), (Some("Europe/Berlin"), 0), (Some("Asia/Kathmandu"), 1)] {
            let plan = explain(&mut connection, user, mode, sql, state(user, zone)).await;
            let looked = nodes(&plan).into_iter().filter(|node| node["Function Name"] == "pg_timezone_names");
            let loops: u64 = looked.map(|node| node["Actual Loops"].as_u64().unwrap()).sum();
            assert_eq!(loops, looks, "{mode} {zone:?}: {plan:#}");
        }
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_page_of_buckets_costs_the_same_however_much_lies_before_and_behind_its_days() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/buckets/bucket_page.sql");
    let mut cost = Vec::new();
    let years = years_around(user);
    for more in ["select", &years] {
        app.tell(more).await;
        app.tell("vacuum analyze usage.bucket").await;
        for after in ["1970-01-01T00:00:00Z", "2026-11-01T08:30:00Z"] {
            for mode in [CUSTOM, GENERIC, AS_SERVED] {
                let arguments = page(user, &[], instant(after));
                let plan = explain(&mut connection, user, mode, sql, arguments).await;
                assert!(plan["Actual Rows"].as_u64().unwrap() > 70, "{}", outline(&plan));
                cost.push((buffers(&plan), outline(&plan)));
            }
        }
    }
    let (without, with) = cost.split_at(6);
    for ((few, _), (many, outline)) in without.iter().zip(with) {
        assert!(many <= &(2 * few + 4), "{few} pages with a month, {many} with years: {outline}");
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn hours_of_the_week_read_no_more_buckets_than_they_are_to() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/week_hours/week_hours.sql");
    app.tell(&years_around(user)).await;
    // And as much again within the days that are asked for.
    let within = years_around(user).replace("'m1'", "'m9'").replace("where hour not between", "where hour between");
    app.tell(&within).await;
    app.tell("vacuum analyze usage.bucket").await;
    for mode in [CUSTOM, GENERIC, AS_SERVED] {
        for (limit, most) in [(50, 50), (1000, 1000)] {
            let plan = explain(&mut connection, user, mode, sql, week_hours(user, &[], limit)).await;
            let scans = nodes(&plan).into_iter().filter(|node| node["Relation Name"] == "bucket");
            let read: u64 = scans.map(|node| node["Actual Rows"].as_u64().unwrap()).sum();
            assert!(read > 0 && read <= most, "{mode}: {read} of {limit}\n{}", outline(&plan));
        }
    }
    connection.close().await.unwrap();
}

/// Six years of a user's buckets around those that there are.
fn years_around(user: Uuid) -> String {
    format!(
        "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, observed_at, changed_at, stamped)
         select '{user}', hour, '{user}', 'codex', 'm1', 1, 0, 0, 0, 0, 0, 0, 0, now(), now(), true
         from generate_series('2023-01-01T00:00Z'::timestamptz, '2028-12-31', interval '30 minutes') hour
         where hour not between '2026-10-20' and '2026-11-22'"
    )
}

#[tokio::test]
async fn what_waits_for_a_user_costs_its_reads_nothing() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    app.tell(&format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select '{user}', 'bucket_changed', '2026-11-20', '2026-11-20T10:00Z', '2026-11-20T10:00Z', 'live', '{user}'
         from generate_series(1, 20000);
         analyze usage.outbox"
    ))
    .await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/state/rollup_state.sql");
    for mode in [CUSTOM, GENERIC] {
        let plan = explain(&mut connection, user, mode, sql, state(user, None)).await;
        assert!(buffers(&plan) < 40, "{mode}:\n{}", outline(&plan));
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn streaks_are_read_from_the_index_alone_whatever_is_filtered() {
    let app = TestApp::start().await;
    fill(&app, 1, 200).await;
    let user = filled_user(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/summary/streaks.sql");
    for mode in [AS_SERVED, CUSTOM, GENERIC] {
        for models in [&[][..], &["m1", "m2"]] {
            let arguments = with(both_ranges(user, models), day("2026-11-20"));
            let plan = explain(&mut connection, user, mode, sql, arguments).await;
            let of_table = nodes(&plan).into_iter().filter(|node| node["Relation Name"] == "daily");
            let [scan] = of_table.collect::<Vec<_>>()[..] else { panic!("one scan: {plan:#}") };
            assert_eq!((&scan["Node Type"], &scan["Heap Fetches"]), (&"Index Only Scan".into(), &0.into()), "{plan:#}");
            assert!(buffers(&plan) < 20, "thirty days lie in thirty pages of the table: {}", outline(&plan));
        }
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_summary_reads_no_more_models_than_it_may_list() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = filled_user(&app, 5).await;
    app.tell(&format!(
        "insert into {DAILY} select '{user}', day::date, '{user}', 'codex', 'n' || n, 1, 0, 0, 0, 0, 0, 0, 1, 1
         from generate_series(1, 5000) n, (values ('2026-11-20'), ('2026-11-01')) d (day)"
    ))
    .await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("features/dashboard_rollup/summary/range_sums.sql");
    let plan = explain(&mut connection, user, AS_SERVED, sql, with(both_ranges(user, &[]), 100_i64)).await;
    assert_eq!(plan["Actual Rows"], 100, "{}", outline(&plan));
    connection.close().await.unwrap();
}
