//! What the statements of keys cost, planned as by each pool that runs them: on an empty table, on one that was just filled,
//! on one that is known to be full, and with a plan that was made while it was empty.

use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::support::TestApp;
use crate::support::plans::{buffers, nodes, outline};

const RECORD: &str = include_str!("../../../src/kernel/idempotency/record_answer.sql");
const RECORD_POSTS: &str = include_str!("../../../src/kernel/idempotency/record_posts.sql");
const FORGET_POSTS: &str = include_str!("../../../src/kernel/idempotency/forget_posts.sql");
const FIND: &str = include_str!("../../../src/kernel/idempotency/find_answer.sql");
const RECORDED: &str = include_str!("../../../src/kernel/idempotency/recorded_keys.sql");
const PURGE: &str = include_str!("../../../src/kernel/idempotency/purge_keys.sql");

/// The settings of each pool, and the role that its connections take.
const POOLS: [(&str, &str); 3] = [
    (
        "halfhour_api",
        "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off;
         set enable_hashjoin = off; set enable_mergejoin = off",
    ),
    ("halfhour_api", "set plan_cache_mode = force_generic_plan; set enable_seqscan = off"),
    (
        "halfhour_worker",
        "set plan_cache_mode = force_custom_plan; set enable_seqscan = off; set enable_bitmapscan = off",
    ),
];

/// Fifty devices of the user, each with 999 records, and the user's own.
const FILL: &str = "
    insert into usage.idempotency (user_id, scope_hash, device_id, fingerprint, request_id, verdicts, created_at)
    select '$user', sha256((d || ' ' || n)::bytea), case when d = 0 then '$user' else md5(d::text)::uuid end,
        sha256('x'), '$user', '', now() - n * interval '1 second'
    from generate_series(1, 999) n, generate_series(0, 50) d";

/// How the records beyond the cap were looked for once.
const QUADRATIC: &str = "
    delete from usage.idempotency f
    where f.user_id = $1 and f.scope_hash <> $2 and f.scope_hash in (
        select o.scope_hash from usage.idempotency o
        where o.user_id = $1 and o.device_id = $3 order by o.created_at desc offset 999
    )";

/// As the application would, with every parameter.
fn statements(user: Uuid) -> [(&'static str, String, String); 6] {
    let record = format!(
        "'{user}', sha256(random()::text::bytea), sha256('x'), '{user}', 200::smallint, '{{}}', null, null, '{user}', null"
    );
    let posts = format!(
        "array['{user}', '{user}']::uuid[], array[sha256(random()::text::bytea), sha256(random()::text::bytea)],
         array['{user}', md5('1')]::uuid[], array[sha256('x'), sha256('x')], array['{user}', '{user}']::uuid[],
         array['', '']::bytea[], array[null, '[]']"
    );
    let forgotten = format!(
        "array['{user}', '{user}']::uuid[], array['{user}', md5('1')]::uuid[], array[1, 1]::bigint[],
         array[1001, 2000]::bigint[], array[true, false]"
    );
    let texts = [
        ("record_key", RECORD, record),
        ("record_posts", RECORD_POSTS, posts),
        ("forget_posts", FORGET_POSTS, forgotten),
        ("find_answer", FIND, format!("'{user}', sha256('0 7')")),
        ("recorded_keys", RECORDED, format!("array['{user}'::uuid], array[sha256('0 7')]")),
        ("purge_keys", PURGE, "10000".to_owned()),
    ];
    texts.map(|(name, sql, arguments)| (name, sql.to_owned(), arguments))
}

async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// The plan of a prepared statement with what it touched; its work is undone.
async fn explained(connection: &mut PgConnection, role: &str, user: Uuid, name: &str, arguments: &str) -> Value {
    run(connection, &format!("begin; set local role {role}; set local app.user_ids = '{user}'")).await;
    let explain = format!("explain (analyze, buffers, format json) execute {name} ({arguments})");
    let row = sqlx::query_with(AssertSqlSafe(explain), PgArguments::default()).persistent(false);
    let plan: Value = row.fetch_one(&mut *connection).await.unwrap().get(0);
    run(connection, "rollback").await;
    plan[0]["Plan"].clone()
}

/// Nothing is done more often than once for each of the two records that a statement writes at most.
#[track_caller]
fn assert_cheap(plan: &Value, what: &str) {
    assert!(buffers(plan) < 3_500, "{what} touches {} pages:\n{}", buffers(plan), outline(plan));
    for node in nodes(plan) {
        let loops = node["Actual Loops"].as_u64().unwrap();
        assert!(loops <= 2, "{what} does something {loops} times:\n{}", outline(plan));
        assert_ne!(node["Node Type"], "Seq Scan", "{what}:\n{}", outline(plan));
    }
}

async fn connection(app: &TestApp, settings: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    run(&mut connection, &format!("set jit = off; {settings}")).await;
    connection
}

#[tokio::test]
async fn keys_cost_the_same_whatever_the_table_held_when_their_statements_were_planned() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await.user_id;
    app.tell("alter table usage.idempotency set (autovacuum_enabled = off)").await;
    let mut planned_on_empty = Vec::new();
    for (role, settings) in POOLS {
        let mut connection = connection(&app, settings).await;
        for (name, sql, arguments) in statements(user) {
            run(&mut connection, &format!("prepare {name} as {sql}")).await;
            assert_cheap(&explained(&mut connection, role, user, name, &arguments).await, &format!("{name}, empty"));
        }
        planned_on_empty.push((role, connection));
    }
    app.tell(&FILL.replace("$user", &user.to_string())).await;
    for state in ["just filled", "known to be full"] {
        for (role, connection) in &mut planned_on_empty {
            for (name, _, arguments) in statements(user) {
                let what = format!("{name} of {role}, planned on an empty table, {state}");
                assert_cheap(&explained(connection, role, user, name, &arguments).await, &what);
            }
        }
        for (role, settings) in POOLS {
            let mut connection = connection(&app, settings).await;
            for (name, sql, arguments) in statements(user) {
                run(&mut connection, &format!("prepare {name} as {sql}")).await;
                let what = format!("{name} of {role} under {settings}, {state}");
                assert_cheap(&explained(&mut connection, role, user, name, &arguments).await, &what);
            }
            connection.close().await.unwrap();
        }
        app.tell("vacuum analyze usage.idempotency").await;
    }
}

#[tokio::test]
async fn a_statement_that_costs_more_with_every_record_is_caught() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await.user_id;
    app.tell("alter table usage.idempotency set (autovacuum_enabled = off)").await;
    let (role, settings) = POOLS[0];
    let mut connection = connection(&app, settings).await;
    run(&mut connection, &format!("prepare quadratic as {QUADRATIC}")).await;
    let arguments = format!("'{user}', sha256('x'), '{user}'");
    explained(&mut connection, role, user, "quadratic", &arguments).await;
    let few = FILL.replace("$user", &user.to_string()).replace("0, 50", "0, 0");
    app.tell(&few).await;
    let plan = explained(&mut connection, role, user, "quadratic", &arguments).await;
    let often = |node: &&Value| node["Actual Loops"].as_u64().unwrap() > 900;
    assert!(nodes(&plan).iter().any(often), "{}", outline(&plan));
    assert!(buffers(&plan) > 20_000, "{}", outline(&plan));
}
