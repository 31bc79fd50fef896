//! Nobody reads or writes another user's rows, even where a handler forgets to ask: the roles, the policies and the
//! starting role of every connection, looked at from SQL.

use halfhour::kernel::access::Actor;
use halfhour::kernel::database::{Access, Mode, Tx, schema};
use halfhour::kernel::problem::Problem;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, Row as _};
use uuid::Uuid;

use crate::support::{TestApp, context};

/// Tables without row-level security, and why.
const EXEMPT: [(&str, &str); 1] = [("public._sqlx_migrations", "the migrator's own book; no working role may read it")];

/// Every schema that holds tables of ours.
const OURS: &str = "n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')";

async fn strings(pool: &PgPool, sql: &str) -> Vec<String> {
    let rows = pool.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    rows.into_iter().map(|row| row.get(0)).collect()
}

async fn count(tx: &mut Tx, table: &str) -> i64 {
    tx.fetch_one(sqlx::raw_sql(AssertSqlSafe(format!("select count(*) from {table}")))).await.unwrap().get(0)
}

async fn sqlstate(tx: &mut Tx, sql: &str) -> Option<String> {
    let error = tx.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_err();
    error.as_database_error().and_then(|error| error.code().map(String::from))
}

/// What a connection of its own is answered, with nothing set on it.
async fn ask<T>(options: &PgConnectOptions, sql: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

/// Two users with a bucket and a rollup row each.
async fn two_users(app: &TestApp) -> [Uuid; 2] {
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        let user = app.user(name, "UTC").await;
        let device = app.device(&user, "laptop").await;
        let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": name, "input_tokens": 7}]});
        app.post_buckets(&device.token, &body).await.expect_ok();
        ids.push(user.user_id);
    }
    app.drain().await;
    [ids[0], ids[1]]
}

const OWNED: [&str; 7] = [
    "usage.bucket",
    "usage.outbox",
    "rollup.daily",
    "rollup.user_state",
    "account.user",
    "account.device",
    "account.token",
];

#[tokio::test]
async fn every_table_has_row_level_security_enabled_and_forced_and_a_policy() {
    let app = TestApp::start().await;
    let unprotected = strings(
        &app.admin,
        &format!(
            "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p') and {OURS}
               and not (c.relrowsecurity and c.relforcerowsecurity
                        and exists (select from pg_policy p where p.polrelid = c.oid))
             order by 1"
        ),
    )
    .await;
    assert_eq!(unprotected, EXEMPT.map(|(table, _why)| table));
    let protected = strings(
        &app.admin,
        &format!("select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relforcerowsecurity and {OURS}"),
    )
    .await;
    assert!(protected.len() >= 9, "the catalogue was hardly looked at: {protected:?}");
}

#[tokio::test]
async fn every_table_column_schema_and_function_says_what_it_is() {
    let app = TestApp::start().await;
    let silent = strings(
        &app.admin,
        &format!(
            "select n.nspname || '.' || c.relname || coalesce('.' || a.attname, '')
             from pg_class c join pg_namespace n on n.oid = c.relnamespace
             left join lateral (
                 select attname, attnum from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
                 union all select null, 0
             ) a on true
             where c.relkind in ('r', 'p') and {OURS} and n.nspname <> 'public'
               and (case when a.attnum = 0 then obj_description(c.oid, 'pg_class') else col_description(c.oid, a.attnum) end) is null
             union all
             select n.nspname from pg_namespace n
             where n.nspname in ('usage', 'account', 'rollup') and obj_description(n.oid, 'pg_namespace') is null
             union all
             select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
             where {OURS} and obj_description(p.oid, 'pg_proc') is null"
        ),
    )
    .await;
    assert_eq!(silent, Vec::<String>::new());
}

/// The library of any other language is loaded when it is first called, and may by then be another one than the server's:
/// an upgrade of PostgreSQL replaces it while the server runs.
#[tokio::test]
async fn functions_are_in_sql_but_for_triggers_that_no_request_fires() {
    let app = TestApp::start().await;
    let in_libraries = strings(
        &app.admin,
        &format!(
            "select p.oid::regprocedure || ' in ' || l.lanname from pg_proc p
             join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
             where {OURS} and l.lanname not in ('sql', 'internal')
             order by 1"
        ),
    )
    .await;
    let refusals = ["account.refuse_revival()", "ops.refuse_change()", "price.refuse_change()", "rollup.refuse_fall()"];
    assert_eq!(in_libraries, refusals.map(|function| format!("{function} in plpgsql")));
    let fired = strings(
        &app.admin,
        "select tgrelid::regclass || ' ' || tgtype from pg_trigger
         where tgfoid in ('ops.refuse_change'::regproc, 'price.refuse_change'::regproc) and tgqual is null order by 1",
    )
    .await;
    // Before a statement (2) that deletes (8), updates (16) or truncates (32), which nobody may do. Never an insert (4).
    assert_eq!(fired, ["ops.audit 58", "price.book 34", "price.name 58", "price.rate 58", "price.span 58"]);
    // The others, and that of books, which are sealed by an update, have a condition that no statement of ours makes true.
    let always = "select tgname::text from pg_trigger
                  where tgfoid in ('account.refuse_revival'::regproc, 'rollup.refuse_fall'::regproc) and tgqual is null";
    assert_eq!(strings(&app.admin, always).await, Vec::<String>::new());
    let granted = "select count(*)::text from information_schema.role_table_grants
                   where table_schema = 'ops' and table_name = 'audit' and grantee like 'halfhour_%'
                     and privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE')";
    assert_eq!(strings(&app.admin, granted).await, ["0"]);
}

#[tokio::test]
async fn a_managed_database_whose_owner_is_no_superuser_can_be_migrated_and_served() {
    let app = TestApp::start().await;
    let name = format!("{}_managed", app.superuser.get_database().unwrap());
    let mut server = PgConnection::connect_with(&app.superuser).await.unwrap();
    for statement in [
        format!("create role {name} login createrole password '{name}'"),
        format!("grant halfhour_api, halfhour_worker, halfhour_auth, halfhour_none to {name} with admin option"),
        format!("create database {name} owner {name}"),
    ] {
        server.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
    }
    let owner = app.superuser.clone().database(&name).username(&name).password(&name);
    assert!(schema::migrate(&owner).await.unwrap() >= 5);
    assert_eq!(schema::migrate(&owner).await.unwrap(), 0, "a second time there is nothing to do");
    schema::check(&owner).await.unwrap();
    let version: i32 = ask(&owner, "select current_setting('server_version_num')::int").await;
    if version < 160_000 {
        // Since then inheritance is a property of the grant, and this one is the superuser's.
        let inherits: bool = ask(&owner, "select pg_has_role(current_user, 'halfhour_worker', 'usage')").await;
        assert!(!inherits, "the migrations have taken it away");
    }

    let managed = TestApp::on_database(app.superuser.clone().database(&name), owner.clone()).await;
    two_users(&managed).await;
    for table in OWNED {
        let seen: i64 = ask(&owner, &format!("select count(*) from {table}")).await;
        assert!(version >= 160_000 || seen == 0, "the login sees {seen} rows of {table}");
    }
    let outside = sqlx::raw_sql("select * from usage.bucket");
    assert!(managed.pools.read.connections().execute(outside).await.is_err());
}

#[tokio::test]
async fn the_working_roles_cannot_log_in_own_or_bypass_anything() {
    let app = TestApp::start().await;
    let powerful = strings(
        &app.admin,
        "select rolname from pg_roles where rolname like 'halfhour\\_%'
         and (rolsuper or rolbypassrls or rolcanlogin or rolcreaterole or rolcreatedb)",
    )
    .await;
    assert_eq!(powerful, Vec::<String>::new());
    let owners = strings(
        &app.admin,
        &format!(
            "select distinct pg_get_userbyid(c.relowner)::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where {OURS} and c.relkind in ('r', 'p')"
        ),
    )
    .await;
    assert_eq!(owners, ["halfhour"]);
}

#[tokio::test]
async fn a_query_outside_a_kernel_transaction_is_denied_for_a_confined_login_and_for_a_superuser() {
    let app = TestApp::start().await;
    two_users(&app).await;
    let superuser = app.server_as_superuser().await;
    for pools in [&app.pools, &superuser.pools] {
        for table in OWNED {
            let sql = format!("select * from {table}");
            let error = pools.read.connections().execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap_err();
            assert!(error.to_string().contains("permission denied"), "{table}: {error}");
        }
        // `reset role` leads back to where the connection started, not to the login.
        let mut connection = pools.read.connections().acquire().await.unwrap();
        connection.execute(sqlx::raw_sql("reset role")).await.unwrap();
        let error = connection.execute(sqlx::raw_sql("select * from usage.bucket")).await.unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
}

#[tokio::test]
async fn a_transaction_sees_exactly_the_rows_of_the_users_it_names_whatever_the_login() {
    let app = TestApp::start().await;
    let [ann, bob] = two_users(&app).await;
    let superuser = app.server_as_superuser().await;
    for pools in [&app.pools, &superuser.pools] {
        for table in OWNED {
            let all = sqlx::raw_sql(AssertSqlSafe(format!("select count(*) from {table}")));
            let all: i64 = app.admin.fetch_one(all).await.unwrap().get(0);
            let mut seen = Vec::new();
            for users in [vec![], vec![ann], vec![bob], vec![ann, bob]] {
                let mut tx = pools.read.begin(&context(), Access::Users(&users), Mode::Snapshot).await.unwrap();
                seen.push(count(&mut tx, table).await);
                tx.rollback().await.unwrap();
            }
            assert_eq!(seen, [0, all / 2, all / 2, all], "{table}");
        }
    }
}

#[tokio::test]
async fn a_transaction_cannot_write_rows_of_a_user_it_does_not_name() {
    let app = TestApp::start().await;
    let [ann, bob] = two_users(&app).await;
    let begin = async || app.pools.ingest.begin(&context(), Access::Users(&[ann]), Mode::ReadWrite).await.unwrap();

    let mut tx = begin().await;
    let theft = format!("update usage.bucket set user_id = '{ann}' where user_id = '{bob}'");
    let touched = tx.execute(sqlx::raw_sql(AssertSqlSafe(theft))).await.unwrap().rows_affected();
    assert_eq!(touched, 0, "another user's rows do not even match");
    tx.rollback().await.unwrap();
    let mut tx = begin().await;
    let deleted = tx.execute(sqlx::raw_sql("delete from usage.bucket")).await.unwrap().rows_affected();
    assert_eq!(deleted, 1, "an owner deletes its own bucket, and no other");
    tx.rollback().await.unwrap();
    let mut tx = begin().await;
    let deleted = tx.execute(sqlx::raw_sql("delete from account.token")).await.unwrap().rows_affected();
    assert_eq!(deleted, 3, "who is erased loses the tokens of its own, and no other");
    tx.rollback().await.unwrap();

    for statement in [
        format!("update usage.bucket set user_id = '{bob}'"),
        format!("insert into account.device (user_id, device_id, name) values ('{bob}', gen_random_uuid(), 'mole')"),
        format!(
            "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
             values ('{bob}', 'bucket_changed', '2026-11-20', now(), now(), 'live', gen_random_uuid())"
        ),
        "delete from usage.outbox".to_owned(),
        "delete from rollup.daily".to_owned(),
        "delete from account.erased_user".to_owned(),
        "update account.erased_user set finished_at = now()".to_owned(),
        format!("insert into account.erased_user (user_id) values ('{bob}')"),
        format!(
            "insert into usage.erasure (user_id, erasure_id, erased_at) values ('{bob}', gen_random_uuid(), now())"
        ),
        "insert into rollup.user_state values (gen_random_uuid(), 'UTC', 0)".to_owned(),
        "set local role halfhour_auth".to_owned(),
    ] {
        let mut tx = begin().await;
        assert_eq!(sqlstate(&mut tx, &statement).await.as_deref(), Some("42501"), "{statement}");
    }
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing_behind_on_its_connection() {
    let app = TestApp::start().await;
    let [ann, _bob] = two_users(&app).await;
    for _ in 0..20 {
        let mut tx = app.pools.read.begin(&context(), Access::Users(&[ann]), Mode::ReadWrite).await.unwrap();
        assert_eq!(count(&mut tx, "usage.bucket").await, 1);
        drop(tx);
        let mut tx = app.pools.read.begin(&context(), Access::NOBODY, Mode::ReadWrite).await.unwrap();
        assert_eq!(count(&mut tx, "usage.bucket").await, 0);
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn authentication_finds_only_active_tokens_of_active_devices_and_users() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    // Each time a server that has not seen the token yet: this is about the database, not about the cache.
    let works = async |token: &str| app.second_server().await.get(token, "/v1/rollups").await.status == 200;
    assert!(works(&user.viewer).await);

    let tokens = app.accounts().tokens.list(&context(), Some(user.user_id)).await.unwrap();
    let viewer = tokens.iter().find(|token| token.kind == "viewer").unwrap();
    assert!(app.accounts().tokens.revoke(&context(), Actor::Command, viewer.token_id).await.unwrap());
    assert!(!works(&user.viewer).await);
    assert!(
        !app.accounts().tokens.revoke(&context(), Actor::Command, viewer.token_id).await.unwrap(),
        "revoking again changes nothing"
    );

    let device = app.device(&user, "laptop").await;
    let posts = async || {
        let server = app.second_server().await;
        server.post_buckets(&device.token, &json!({"buckets": []})).await.status
    };
    assert_eq!(posts().await, 200);
    app.admin.execute(sqlx::raw_sql("update account.device set revoked_at = now()")).await.unwrap();
    assert_eq!(posts().await, 401);
    app.admin.execute(sqlx::raw_sql("update account.device set revoked_at = null")).await.unwrap();
    app.admin.execute(sqlx::raw_sql("update account.user set revoked_at = now()")).await.unwrap();
    assert_eq!(posts().await, 401);
}

#[tokio::test]
async fn names_are_unique_among_the_active_and_zones_are_checked() {
    let app = TestApp::start().await;
    let add = async |name: &str, zone: &str| -> Result<_, Problem> {
        app.accounts().users.add(&context(), Actor::Command, name, zone).await
    };
    add("ann", "Asia/Kathmandu").await.unwrap();
    assert_eq!(add("ann", "UTC").await.unwrap_err().code().as_str(), "conflict");
    for (name, zone) in
        [("bob", "Mars/Olympus"), ("bob", "+02:00"), ("", "UTC"), ("a\nb", "UTC"), (&"x".repeat(101), "UTC")]
    {
        assert_eq!(add(name, zone).await.unwrap_err().code().as_str(), "invalid", "{name:?} {zone}");
    }
    app.admin.execute(sqlx::raw_sql("update account.user set revoked_at = now()")).await.unwrap();
    add("ann", "UTC").await.unwrap();
}

#[tokio::test]
async fn one_link_code_makes_one_device_however_many_exchange_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await.user_id;
    let code = "insert into account.link_code (code_hash, user_id, expires_at)
                values (sha256('code'), '$user', now() + interval '10 minutes'),
                       (sha256('old'), '$user', now() + interval '1 second')";
    app.admin.execute(sqlx::raw_sql(AssertSqlSafe(code.replace("$user", &user.to_string())))).await.unwrap();
    let exchange = async |code: &str, request: u32, at: &str| -> (String, Option<Uuid>) {
        let mut tx = app.pools.read.begin(&context(), Access::NOBODY, Mode::ReadWrite).await.unwrap();
        let (device_id, token_id) = (Uuid::now_v7(), Uuid::now_v7());
        let sql = format!(
            "select outcome, device_id from account.exchange(sha256('{code}'), sha256('{request}'),
             sha256('token {request}'), '{device_id}', '{token_id}', 'laptop', 'linux', {at})"
        );
        let row = tx.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        tx.commit().await.unwrap();
        (row.get(0), row.get(1))
    };
    let all = futures_util::future::join_all((0..8).map(|request| exchange("code", request, "now()"))).await;
    let won: Vec<_> = all.iter().enumerate().filter(|(_, (outcome, _))| outcome == "exchanged").collect();
    assert_eq!(won.len(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|(outcome, _)| outcome == "used").count(), 7, "{all:?}");
    let (request, (_, device)) = won[0];
    let again = exchange("code", u32::try_from(request).unwrap(), "now()").await;
    assert_eq!(again, ("replayed".to_owned(), *device));
    assert_eq!(exchange("old", 1, "now() + interval '1 minute'").await.0, "expired");
    assert_eq!(exchange("guessed", 1, "now()").await.0, "unknown");
    let made = strings(&app.admin, "select name from account.device").await;
    assert_eq!(made, ["laptop"]);
}
