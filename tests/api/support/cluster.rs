//! One private PostgreSQL for the whole test run, one migrated template in it, one clone of it a test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use halfhour::kernel::database::schema;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

const TEMPLATE: &str = "migrated_template";

/// How to reach one test's database.
pub struct Database {
    /// As the superuser.
    pub superuser: PgConnectOptions,
    /// As a login that may only become one of the working roles.
    pub login: PgConnectOptions,
}

/// A fresh, migrated database.
pub async fn new_database() -> Database {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = tokio::task::spawn_blocking(|| cluster().connect_options()).await.unwrap();
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect_with(&server).await.unwrap();
    run(&mut connection, format!("create database {name} template {TEMPLATE}")).await;
    connection.close().await.unwrap();
    let superuser = server.database(&name);
    let login = superuser.clone().username("test_login").password("test_login");
    Database { superuser, login }
}

/// Started by the first test that needs it; it ends with this process.
fn cluster() -> &'static EmbeddedPostgres {
    static CLUSTER: OnceLock<EmbeddedPostgres> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_stale(parent);
        let data_dir = parent.join(format!("api-postgres-{}", std::process::id()));
        let postgres = EmbeddedPostgres::start(&data_dir, Durability::Disposable).unwrap();
        let options = postgres.connect_options();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(make_template(&options));
        postgres
    })
}

/// The version of the PostgreSQL that comes first in `PATH`, as `.ci/run` sets it, if there is one: `18.1`.
fn first_in_path() -> Option<String> {
    let path = std::env::var_os("PATH")?;
    let has_server = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    let folder = std::env::split_paths(&path).find(has_server)?;
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    // `postgres (PostgreSQL) 18.1 (Debian …)`
    let version = String::from_utf8(output.stdout).ok()?.split_whitespace().nth(2)?.to_owned();
    let major: u32 = version.split('.').next()?.parse().ok()?;
    // The product passes over what is too old for it.
    (major >= 14).then_some(version)
}

/// Tests that run on another version than the one they are to run on show nothing.
async fn assert_version(connection: &mut PgConnection) {
    let Some(wanted) = first_in_path() else { return };
    // `PostgreSQL 18.1 (Debian …) on …`
    let found: String = connection.fetch_one("select version()").await.unwrap().get(0);
    assert_eq!(found.split_whitespace().nth(1), Some(wanted.as_str()), "the tests run on a PostgreSQL of PATH");
}

async fn make_template(server: &PgConnectOptions) {
    let mut connection = PgConnection::connect_with(server).await.unwrap();
    assert_version(&mut connection).await;
    run(&mut connection, format!("create database {TEMPLATE}")).await;
    schema::migrate(&server.clone().database(TEMPLATE)).await.unwrap();
    run(
        &mut connection,
        "create role test_login login noinherit password 'test_login'
         in role halfhour_api, halfhour_worker, halfhour_none"
            .to_owned(),
    )
    .await;
    connection.close().await.unwrap();
}

async fn run(connection: &mut PgConnection, sql: String) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

/// Removes what earlier test runs left: their clusters ended with them, their files did not.
fn remove_stale(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("api-postgres-")) {
        let lock = File::options().write(true).open(entry.path().join("server.lock"));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            // Another test run may be removing it, too.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
