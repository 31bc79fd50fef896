//! `DATABASE_URL`: somebody else's PostgreSQL, with any number of servers on it.

use std::path::Path;
use std::time::{Duration, Instant};

use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use halfhour::kernel::clock::Clock;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tempfile::TempDir;

use crate::http::{INTERVAL, PATIENCE, recent};
use crate::support::Home;

const SECRET: &str = "a secret of the tests, the same on every process";

/// A PostgreSQL that no server of ours runs.
pub fn start_postgres() -> (TempDir, EmbeddedPostgres) {
    let directory = tempfile::tempdir().unwrap();
    let postgres = EmbeddedPostgres::start(directory.path(), Durability::Disposable).unwrap();
    (directory, postgres)
}

/// The post of one bucket, taken so many seconds ago.
fn taken(mut post: Value, seconds_ago: i64) -> Value {
    let at = Clock::machine_now() - chrono::TimeDelta::seconds(seconds_ago);
    post["buckets"][0]["observed_at"] = at.to_rfc3339().into();
    post
}

fn password(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("postgres.password")).unwrap().trim().to_owned()
}

pub fn database_url(directory: &Path, postgres: &EmbeddedPostgres) -> String {
    let options = postgres.connect_options();
    let socket_dir = options.get_socket().unwrap().display();
    format!("postgres://halfhour:{}@localhost/halfhour?host={socket_dir}", password(directory))
}

pub fn home(url: &str) -> Home {
    Home::new().with("DATABASE_URL", url).with("HALFHOUR_SECRET", SECRET)
}

#[tokio::test]
async fn an_external_database_serves_and_nothing_is_kept_on_the_side() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres));
    let server = home.serve().await;
    let user = home.json(&["user", "add", "ann", "--time-zone", "Asia/Kathmandu"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let (device, viewer) = (device["token"].as_str().unwrap(), user["viewer_token"].as_str().unwrap());
    server.post(device, &recent("m", 42)).await;
    assert_eq!(server.folded(viewer, "/v1/rollups").await["totals"]["input_tokens"], 42);
    assert!(!server.running.stderr().contains("credentials.env"), "{}", server.running.stderr());
    let (stdout, stderr) = (server.running.stdout(), server.running.stderr());
    let password = password(directory.path());
    assert!(![&stdout, &stderr].iter().any(|text| text.contains(&password) || text.contains(SECRET)));
    server.stop().await;
    // Stopping the server is not stopping the database.
    assert_eq!(home.json(&["token", "list"]).as_array().unwrap().len(), 2);
    assert!(!home.data_dir().exists());
    home.assert_nothing_left();
    postgres.stop().unwrap();
}

/// How many rows of a table a connection sees.
async fn rows_of(connection: &mut PgConnection, table: &str) -> i64 {
    let count = sqlx::raw_sql(AssertSqlSafe(format!("select count(*) from {table}")));
    connection.fetch_one(count).await.unwrap().get(0)
}

#[tokio::test]
async fn a_login_as_the_documents_make_it_serves_and_sees_no_rows_by_itself() {
    let (_directory, postgres) = start_postgres();
    let superuser = postgres.connect_options();
    let mut connection = PgConnection::connect_with(&superuser).await.unwrap();
    connection.execute("create role app login createrole password 'app'").await.unwrap();
    connection.execute("create database app owner app").await.unwrap();
    connection.close().await.unwrap();
    let socket_dir = superuser.get_socket().unwrap().display();
    let home = home(&format!("postgres://app:app@localhost/app?host={socket_dir}"));
    let server = home.serve().await;
    let user = home.json(&["user", "add", "ann"]);
    let operator = home.json(&["token", "issue", "--user", "ann", "--kind", "operator"]);
    assert!(operator["token"].is_string(), "{operator}");
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let (device, viewer) = (device["token"].as_str().unwrap(), user["viewer_token"].as_str().unwrap());
    server.post(device, &recent("m", 42)).await;
    assert_eq!(server.folded(viewer, "/v1/rollups").await["totals"]["input_tokens"], 42);

    let login = superuser.clone().database("app").username("app").password("app");
    let mut login = PgConnection::connect_with(&login).await.unwrap();
    let tables = ["usage.bucket", "account.user", "account.token", "rollup.daily", "ops.audit"];
    for table in tables {
        assert_eq!(rows_of(&mut login, table).await, 0, "{table}");
    }
    login.execute("set role halfhour_worker").await.unwrap();
    for table in tables {
        assert!(rows_of(&mut login, table).await > 0, "{table}");
    }
    login.close().await.unwrap();
    assert!(!server.running.stdout().contains("inherits these roles"), "{}", server.running.stdout());
    server.stop().await;
    // The migrations may be looked at again, by whoever sees nothing.
    assert_eq!(home.json(&["migrate"]), json!({"applied": 0}));
    postgres.stop().unwrap();
}

#[tokio::test]
async fn a_login_that_inherits_is_told_so_at_the_start() {
    let (_directory, postgres) = start_postgres();
    let superuser = postgres.connect_options();
    let mut connection = PgConnection::connect_with(&superuser).await.unwrap();
    connection.execute("create role app login createrole password 'app'").await.unwrap();
    connection.execute("create database app owner app").await.unwrap();
    let socket_dir = superuser.get_socket().unwrap().display();
    let home = home(&format!("postgres://app:app@localhost/app?host={socket_dir}"));
    assert!(home.json(&["migrate"])["applied"].as_i64().unwrap() > 0);
    connection.execute("alter role app inherit").await.unwrap();
    connection.execute("grant halfhour_worker to app").await.unwrap();
    connection.close().await.unwrap();
    let server = home.serve().await;
    let log = server.running.stdout();
    assert!(log.contains("inherits these roles") && log.contains("halfhour_worker"), "{log}");
    server.stop().await;
    postgres.stop().unwrap();
}

#[tokio::test]
async fn two_servers_started_at_once_on_an_empty_database_both_serve() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres));
    // Both find no schema, and both are to make it.
    let (first, second) = (home.spawn(), home.spawn());
    let (first, second) = tokio::join!(first.listening(), second.listening());
    assert_eq!(home.json(&["migrate"]), json!({"applied": 0}));
    let user = home.json(&["user", "add", "ann"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let (device, viewer) = (device["token"].as_str().unwrap(), user["viewer_token"].as_str().unwrap());

    first.post(device, &recent("m", 1)).await;
    second.post(device, &recent("n", 10)).await;
    // The same bucket through both: one is kept, and the later one stands. It says when it was taken: two processes
    // stamp arrivals by their own measure of the database's clock, which a busy machine puts off by more than a post takes.
    first.post(device, &taken(recent("o", 100), 2)).await;
    second.post(device, &taken(recent("o", 200), 1)).await;
    for server in [&first, &second] {
        let totals = &server.folded(viewer, "/v1/rollups").await["totals"];
        assert_eq!((&totals["input_tokens"], &totals["bucket_count"]), (&json!(211), &json!(3)));
    }
    // The one goes, without a word; the other serves on and folds.
    first.kill().await;
    second.post(device, &recent("p", 1000)).await;
    assert_eq!(second.folded(viewer, "/v1/rollups").await["totals"]["input_tokens"], 1211);
    second.stop().await;
    postgres.stop().unwrap();
}

#[tokio::test]
async fn an_external_database_that_cannot_be_reached_ends_the_start_without_its_password() {
    let home = home("postgres://halfhour:hunter2@localhost/halfhour?host=/nowhere/at/all");
    let mut running = home.spawn();
    assert_eq!(running.ended_within(PATIENCE).await.code(), Some(1));
    let stderr = running.stderr();
    assert!(stderr.starts_with("halfhour: the database could not be prepared"), "{stderr}");
    assert!(!stderr.contains("hunter2") && !stderr.contains(SECRET), "{stderr}");
    assert!(!home.data_dir().exists());
}

#[tokio::test]
async fn verify_says_whether_rollups_are_what_the_buckets_say_and_ends_with_3_where_they_are_not() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres));
    let server = home.serve().await;
    let user = home.json(&["user", "add", "ann"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let (device, viewer) = (device["token"].as_str().unwrap(), user["viewer_token"].as_str().unwrap());
    server.post(device, &recent("m", 42)).await;
    server.folded(viewer, "/v1/rollups").await;
    server.stop().await;
    let clean = home.json(&["verify"]);
    let counts = ["users", "user_days", "pending", "drifted", "orphaned"].map(|name| clean[name].clone());
    assert_eq!(counts, [1, 1, 0, 0, 0].map(|count| json!(count)), "{clean}");

    let mut superuser = PgConnection::connect_with(&postgres.connect_options().database("halfhour")).await.unwrap();
    superuser.execute("update rollup.daily set input_tokens = 41").await.unwrap();
    let user_id = user["user_id"].as_str().unwrap();
    for arguments in [&["verify", "--json"][..], &["verify", "--json", "--user", user_id]] {
        let said = home.run(arguments);
        assert_eq!(said.code, Some(3), "{said:?}");
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!((&report["drifted"], &report["drift"][0]["actual_tokens"]), (&json!(1), &json!(41)));
        assert_eq!(report["drift"][0]["expected_tokens"], 42);
    }
    let words = home.run(&["verify"]);
    assert!(words.stdout.contains("1 with drift") && words.stdout.contains("41 tokens instead of 42"), "{words:?}");
    assert_eq!(home.run(&["verify", "--to", "2020-01-01"]).code, Some(0), "outside of the window all is well");
    assert_eq!(home.run(&["verify", "--from", "2026-01-02", "--to", "2026-01-01"]).code, Some(1));

    superuser.execute("update rollup.user_state set time_zone = 'Mars/Base'").await.unwrap();
    superuser.close().await.unwrap();
    let said = home.run(&["verify", "--json"]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code, &report["not_compared"]), (Some(3), &json!(1)));
    assert_eq!(report["not_compared_users"], json!([{ "user_id": user_id, "code": "refused_22023" }]));
    let words = home.run(&["verify"]);
    assert!(words.stdout.contains(&format!("{user_id}: could not be compared, refused_22023")), "{words:?}");
    postgres.stop().unwrap();
}

#[tokio::test]
async fn the_databases_clock_is_read_while_every_worker_waits() {
    let (directory, postgres) = start_postgres();
    let home = home(&database_url(directory.path(), &postgres)).with("HALFHOUR_POOL_WORKER", "2");
    let server = home.serve().await;
    home.json(&["user", "add", "ann"]);
    let device = home.json(&["device", "add", "--user", "ann", "--name", "laptop"]);
    let device = device["token"].as_str().unwrap();
    server.post(device, &recent("m", 1)).await;
    let mut holder = PgConnection::connect_with(&postgres.connect_options()).await.unwrap();
    let mut other = PgConnection::connect_with(&postgres.connect_options()).await.unwrap();
    // The relay cannot fold, and the backfills' worker cannot look for a job: each waits on a connection of its own.
    holder.execute("begin").await.unwrap();
    holder.execute("lock table rollup.daily, rollup.user_state, backfill.job in access exclusive mode").await.unwrap();
    server.post(device, &recent("n", 2)).await;
    let waiting =
        "select count(*) from pg_stat_activity where application_name = 'halfhour worker' and wait_event_type = 'Lock'";
    let began = Instant::now();
    while other.fetch_one(waiting).await.unwrap().get::<i64, _>(0) < 2 {
        assert!(began.elapsed() < PATIENCE, "the workers do not wait");
        tokio::time::sleep(INTERVAL).await;
    }
    // They wait for as long as a statement waits for a lock, and the clock is looked at twice a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let log = server.running.stdout();
    assert!(!log.contains("clock cannot be read"), "{log}");
    holder.execute("rollback").await.unwrap();
    server.stop().await;
    postgres.stop().unwrap();
}
