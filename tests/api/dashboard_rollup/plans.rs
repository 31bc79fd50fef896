//! What the reads cost: every statement goes by key, and a read of thirty days costs the same however many users there
//! are. The files of the product are explained and run as the application runs them: as `halfhour_api`, under row-level
//! security, with parameters that are really bound.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::day;
use crate::support::{NOW, TestApp, instant};

macro_rules! sql {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../src/features/dashboard_rollup/", $path)))
    };
}

/// Every table of users, filled by day and then by user, as usage arrives: `$users` users from number `$first` on, each
/// with a device, thirty days of four half hours, and one event that waits.
const FILL: &str = "
    create or replace function pg_temp.id(number integer) returns uuid language sql immutable
        as $$ select md5(number::text)::uuid $$;
    insert into account.user (user_id, name, time_zone)
    select pg_temp.id(u), 'user ' || u, 'Europe/Berlin' from generate_series($first, $first + $users - 1) u;
    insert into rollup.user_state (user_id, time_zone, version, frozen_before)
    select pg_temp.id(u), 'Europe/Berlin', 7, '2026-01-01' from generate_series($first, $first + $users - 1) u;
    insert into usage.horizon (user_id, first_hour)
    select pg_temp.id(u), '2025-12-31T23:00Z' from generate_series($first, $first + $users - 1) u;
    insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
    select pg_temp.id(u), 'bucket_changed', '2026-11-20', '2026-11-20T10:00Z', '2026-11-20T10:00Z', 'live', pg_temp.id(u)
    from generate_series($first, $first + $users - 1) u;
    insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        bucket_count)
    select pg_temp.id(u), '2026-10-22'::date + d, pg_temp.id(u), 'codex', 'm' || m, 1, 0, 0, 0, 0, 0, 0, 1, 1
    from generate_series(0, 29) d, generate_series($first, $first + $users - 1) u, generate_series(1, 4) m
    order by d, u, m;
    insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count,
        observed_at, changed_at, stamped)
    select pg_temp.id(u), '2026-10-22T08:00Z'::timestamptz + d * interval '1 day' + m * interval '30 minutes',
        pg_temp.id(u), 'codex', 'm' || m, 1, 0, 0, 0, 0, 0, 0, 1, now(), now(), true
    from generate_series(0, 29) d, generate_series($first, $first + $users - 1) u, generate_series(1, 4) m
    order by d, u, m;
    vacuum analyze account.user, rollup.user_state, usage.horizon, usage.outbox, rollup.daily, usage.bucket";

/// What the application's pool of reads sets.
const AS_SERVED: &str = "enable_seqscan = off";

async fn fill(app: &TestApp, first: u32, users: u32) {
    let sql = FILL.replace("$first", &first.to_string()).replace("$users", &users.to_string());
    // Each on its own: a vacuum runs in no transaction.
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    for statement in split(&sql) {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

fn split(sql: &str) -> Vec<String> {
    sql.split(';').map(|statement| statement.trim().to_owned()).collect()
}

async fn id(app: &TestApp, number: u32) -> Uuid {
    app.ask(&format!("select md5('{number}')")).await[0].parse().unwrap()
}

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

fn with<T>(mut arguments: PgArguments, more: T) -> PgArguments
where
    T: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    arguments.add(more).unwrap();
    arguments
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

fn state(user: Uuid, zone: Option<&str>) -> PgArguments {
    with(with(with(PgArguments::default(), user), instant(NOW)), zone.map(str::to_owned))
}

fn page(user: Uuid, models: &[&str], after: DateTime<Utc>) -> PgArguments {
    let arguments = with(with(range(user, models), "Asia/Kathmandu".to_owned()), after);
    with(with(with(with(arguments, user), "codex".to_owned()), "m1".to_owned()), 1001_i64)
}

/// Every statement of every read that looks at a table, with arguments for thirty days.
fn reads(user: Uuid, models: &[&str]) -> Vec<(&'static str, &'static str, PgArguments)> {
    let berlin = || "Europe/Berlin".to_owned();
    let all = [
        (sql!("state/rollup_state.sql"), state(user, None)),
        (sql!("state/rollup_state.sql"), state(user, Some("Asia/Kathmandu"))),
        (sql!("state/kept_from.sql"), with(PgArguments::default(), user)),
        (sql!("rollups/daily_totals.sql"), range(user, models)),
        (sql!("rollups/daily_results.sql"), results(user, models, "day", None)),
        (sql!("rollups/daily_results.sql"), results(user, models, "day", Some("2026-11-01T00:00:00"))),
        (sql!("rollups/daily_results.sql"), results(user, models, "month", None)),
        (sql!("rollups/bucket_totals.sql"), with(range(user, models), berlin())),
        (sql!("rollups/bucket_results.sql"), with(results(user, models, "half_hour", None), berlin())),
        (sql!("rollups/bucket_results.sql"), with(results(user, models, "day", Some("2026-11-01T00:00:00")), berlin())),
        (sql!("summary/range_sums.sql"), both_ranges(user, models)),
        (sql!("summary/streaks.sql"), with(both_ranges(user, models), day("2026-11-20"))),
        (sql!("heatmap/heatmap_days.sql"), range(user, models)),
        (sql!("buckets/bucket_page.sql"), page(user, models, instant("1970-01-01T00:00:00Z"))),
        (sql!("buckets/bucket_page.sql"), page(user, models, instant("2026-11-01T08:30:00Z"))),
    ];
    all.into_iter().map(|((path, sql), arguments)| (path, sql, arguments)).collect()
}

/// Runs a statement as the application does and returns its plan with what it really touched.
async fn explain(connection: &mut PgConnection, user: Uuid, setting: &str, sql: &str, arguments: PgArguments) -> Value {
    let opening = format!(
        "begin isolation level repeatable read read only; set local role halfhour_api;
         set local app.user_ids = '{user}'; set local jit = off; set local {setting}"
    );
    sqlx::raw_sql(AssertSqlSafe(opening)).execute(&mut *connection).await.unwrap();
    let plan = plan_of(connection, sql, arguments).await;
    sqlx::raw_sql("rollback").execute(connection).await.unwrap();
    plan
}

async fn plan_of(connection: &mut PgConnection, sql: &str, arguments: PgArguments) -> Value {
    let explain = AssertSqlSafe(format!("explain (analyze, buffers, format json) {sql}"));
    let (plan,): (Value,) = sqlx::query_as_with(explain, arguments).fetch_one(connection).await.unwrap();
    plan[0]["Plan"].clone()
}

/// Every node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let children = plan["Plans"].as_array().into_iter().flatten();
    let mut all = vec![plan];
    all.extend(children.flat_map(nodes));
    all
}

fn scanned(plan: &Value) -> Vec<String> {
    let scans = nodes(plan).into_iter().filter(|node| node["Node Type"] == "Seq Scan");
    scans.map(|node| node["Relation Name"].to_string()).collect()
}

/// How often the plan descends an index: each descent may cost one page more where the tree has grown by a level.
fn descents(plan: &Value) -> u64 {
    let by_index = |node: &&Value| node["Node Type"].as_str().unwrap().contains("Index");
    nodes(plan).into_iter().filter(by_index).map(|node| node["Actual Loops"].as_u64().unwrap()).sum()
}

fn buffers(plan: &Value) -> u64 {
    plan["Shared Hit Blocks"].as_u64().unwrap() + plan["Shared Read Blocks"].as_u64().unwrap()
}

/// The relay's fold of one event among many.
async fn assert_the_fold_goes_by_key(app: &TestApp, connection: &mut PgConnection, user: Uuid) {
    let event = app.ask(&format!("select id::text from usage.outbox where user_id = '{user}'")).await;
    let event: i64 = event[0].parse().unwrap();
    let (path, sql) = sql!("relay/fold_user_days.sql");
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let opening = format!("begin; set local role halfhour_worker; set local plan_cache_mode = {mode}");
        sqlx::raw_sql(AssertSqlSafe(opening)).execute(&mut *connection).await.unwrap();
        let arguments = with(with(PgArguments::default(), vec![user]), vec![event]);
        let plan = plan_of(connection, sql, arguments).await;
        sqlx::raw_sql("rollback").execute(&mut *connection).await.unwrap();
        assert_eq!(scanned(&plan), Vec::<String>::new(), "{path}, {mode}: {plan:#}");
    }
}

#[tokio::test]
async fn no_read_and_no_fold_scans_a_table_and_the_cost_of_a_read_does_not_depend_on_the_number_of_users() {
    let app = TestApp::start().await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    fill(&app, 1, 10).await;
    let few_user = id(&app, 5).await;
    let mut few = Vec::new();
    for (_, sql, arguments) in reads(few_user, &[]) {
        few.push(buffers(&explain(&mut connection, few_user, AS_SERVED, sql, arguments).await));
    }

    fill(&app, 11, 1990).await;
    let many_user = id(&app, 1234).await;
    let mut rows = 0;
    for (position, few) in few.into_iter().enumerate() {
        let question = |models| reads(many_user, models).remove(position);
        for mode in ["plan_cache_mode = force_custom_plan", "plan_cache_mode = force_generic_plan"] {
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
    assert_the_fold_goes_by_key(&app, &mut connection, many_user).await;
    assert!(rows > 600, "the statements found what they were to read: {rows}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_scan_and_a_costly_plan_are_caught() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = id(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let by_model = "select count(*) from rollup.daily where model = any($1::text[])";
    let arguments = with(PgArguments::default(), vec!["m1".to_owned()]);
    let plan = explain(&mut connection, user, "enable_seqscan = on", by_model, arguments).await;
    assert_eq!((scanned(&plan), buffers(&plan) > 20), (vec!["\"daily\"".to_owned()], true), "{plan:#}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_time_zones_of_the_world_are_only_looked_up_for_another_zone() {
    let app = TestApp::start().await;
    fill(&app, 1, 10).await;
    let user = id(&app, 5).await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let (_, sql) = sql!("state/rollup_state.sql");
    for mode in ["plan_cache_mode = force_custom_plan", "plan_cache_mode = force_generic_plan"] {
        for (zone, looks) in [(None, 0), (Some("Europe/Berlin"), 0), (Some("Asia/Kathmandu"), 1)] {
            let plan = explain(&mut connection, user, mode, sql, state(user, zone)).await;
            let looked = nodes(&plan).into_iter().filter(|node| node["Function Name"] == "pg_timezone_names");
            let loops: u64 = looked.map(|node| node["Actual Loops"].as_u64().unwrap()).sum();
            assert_eq!(loops, looks, "{mode} {zone:?}: {plan:#}");
        }
    }
    connection.close().await.unwrap();
}
