//! What statements cost: the files of the product, explained and run as the application runs them, with parameters that
//! are really bound, on tables that are filled as usage arrives.

use std::path::Path;

use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::TestApp;

/// A file of SQL by its path below `src`, with that path.
macro_rules! sql {
    ($path:literal) => {
        ($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/", $path)))
    };
}
pub(crate) use sql;

/// A prepared statement is planned for its values, each time.
pub const CUSTOM: &str = "plan_cache_mode = force_custom_plan";
/// It is planned once, for all values.
pub const GENERIC: &str = "plan_cache_mode = force_generic_plan";

/// Every table of users, filled by day and then by user, as usage arrives: `$users` users from number `$first` on, each
/// with a device, thirty days of four half hours, and one event that waits. The commits wait for the log, because a vacuum
/// calls no page visible to all whose commits do not stand in it.
const FILL: &str = "
    set synchronous_commit = on;
    create or replace function pg_temp.id(number integer) returns uuid language sql immutable
        as $$ select md5(number::text)::uuid $$;
    insert into account.user (user_id, name, time_zone)
    select pg_temp.id(u), 'user ' || u, 'Europe/Berlin' from generate_series($first, $first + $users - 1) u;
    insert into account.device (user_id, device_id, name, platform)
    select pg_temp.id(u), pg_temp.id(u), 'laptop', 'test' from generate_series($first, $first + $users - 1) u;
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
    vacuum analyze account.user, account.device, rollup.user_state, usage.horizon, usage.outbox, rollup.daily,
        usage.bucket";

/// Adds users to every table.
pub async fn fill(app: &TestApp, first: u32, users: u32) {
    fill_by(app, first, users, |_statement| true).await;
}

/// The same, and nobody knows how many there are.
pub async fn fill_without_statistics(app: &TestApp, first: u32, users: u32) {
    fill_by(app, first, users, |statement| !statement.starts_with("vacuum")).await;
}

async fn fill_by(app: &TestApp, first: u32, users: u32, wanted: impl Fn(&str) -> bool) {
    let sql = FILL.replace("$first", &first.to_string()).replace("$users", &users.to_string());
    // Each on its own: a vacuum runs in no transaction.
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    for statement in sql.split(';').map(str::trim).filter(|statement| wanted(statement)) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

/// The user of that number, whose only device has the same id.
pub async fn filled_user(app: &TestApp, number: u32) -> Uuid {
    app.ask(&format!("select md5('{number}')")).await[0].parse().unwrap()
}

/// One argument more.
pub fn with<T>(mut arguments: PgArguments, more: T) -> PgArguments
where
    T: for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    arguments.add(more).unwrap();
    arguments
}

/// Runs a statement in a transaction that is opened so and then undone, and returns its plan with what it touched.
///
/// The statement is prepared and then executed: an explained statement with parameters of its own would be planned with
/// their values whatever `plan_cache_mode` says.
pub async fn explain(connection: &mut PgConnection, opening: &str, sql: &str, arguments: PgArguments) -> Value {
    let quoted: Vec<String> = (1..=arguments.len()).map(|number| format!("quote_nullable(${number})")).collect();
    let quote = AssertSqlSafe(format!("select concat_ws(', ', {})", quoted.join(", ")));
    // The same words again may be of other types.
    let quote = sqlx::query_as_with(quote, arguments).persistent(false);
    let (literals,): (String,) = quote.fetch_one(&mut *connection).await.unwrap();
    run(connection, &format!("{opening}; prepare statement as {sql}")).await;
    let explain = AssertSqlSafe(format!("explain (analyze, buffers, format json) execute statement ({literals})"));
    let (plan,): (Value,) =
        sqlx::query_as_with(explain, PgArguments::default()).fetch_one(&mut *connection).await.unwrap();
    run(connection, "rollback; deallocate statement").await;
    plan[0]["Plan"].clone()
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Has every connection to the test's database from now on write the plan of each of its statements.
pub async fn explain_everything(app: &TestApp) {
    let name = app.superuser.get_database().unwrap().to_owned();
    for setting in [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_analyze = on",
        "auto_explain.log_buffers = on",
        "auto_explain.log_timing = off",
        "auto_explain.log_format = 'json'",
        "auto_explain.log_level = 'log'",
        // Last, for whoever connects in between writes none in another format.
        "auto_explain.log_min_duration = 0",
    ] {
        app.tell(&format!("alter database {name} set {setting}")).await;
    }
}

/// A statement that PostgreSQL ran and explained.
pub struct RanStatement {
    /// The process that ran it. All tests share one log.
    pub pid: u32,
    /// As it was sent.
    pub text: String,
    /// How it was run.
    pub plan: Value,
}

/// What was explained since a place in PostgreSQL's log, and where the log ends now.
pub fn ran_since(start: usize) -> (Vec<RanStatement>, usize) {
    let folder = format!("api-postgres-{}", std::process::id());
    let log = std::fs::read(Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder).join("postgres.log")).unwrap();
    let text = String::from_utf8_lossy(&log[start..]);
    let mut lines = text.lines().peekable();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        if !(line.contains("duration:") && line.ends_with("plan:")) {
            continue;
        }
        let mut written = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            written.push_str(more);
        }
        let written: Value = serde_json::from_str(&written).unwrap();
        // `2026-11-20 12:00:00.000 UTC [4711] 00000 LOG:  duration: …`
        let pid = line.split(['[', ']']).nth(1).unwrap().parse().unwrap();
        found.push(RanStatement {
            pid,
            text: written["Query Text"].as_str().unwrap().to_owned(),
            plan: written["Plan"].clone(),
        });
    }
    (found, log.len())
}

/// Every node of a plan.
pub fn nodes(plan: &Value) -> Vec<&Value> {
    let children = plan["Plans"].as_array().into_iter().flatten();
    let mut all = vec![plan];
    all.extend(children.flat_map(nodes));
    all
}

/// The tables that are read from end to end.
pub fn scanned(plan: &Value) -> Vec<String> {
    let scans = nodes(plan).into_iter().filter(|node| node["Node Type"] == "Seq Scan");
    scans.map(|node| node["Relation Name"].to_string()).collect()
}

/// How often the plan descends an index: each descent may cost one page more where the tree has grown by a level.
pub fn descents(plan: &Value) -> u64 {
    let by_index = |node: &&Value| node["Node Type"].as_str().unwrap().contains("Index");
    nodes(plan).into_iter().filter(by_index).map(|node| node["Actual Loops"].as_u64().unwrap()).sum()
}

/// The pages that it looked at.
pub fn buffers(plan: &Value) -> u64 {
    plan["Shared Hit Blocks"].as_u64().unwrap() + plan["Shared Read Blocks"].as_u64().unwrap()
}

/// A plan to read: a line for each node, with what it is about and what it found.
pub fn outline(plan: &Value) -> String {
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let line = |node: &Value| {
        let [kind, table, index, scan] =
            ["Node Type", "Relation Name", "Index Name", "CTE Name"].map(|key| text(node, key));
        let (rows, loops) = (&node["Actual Rows"], &node["Actual Loops"]);
        format!("{kind} {table}{scan} {index}: {rows} rows, {loops} times, {} pages\n", buffers(node))
    };
    nodes(plan).into_iter().map(line).collect()
}
