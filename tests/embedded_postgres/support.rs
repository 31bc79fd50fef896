//! Small helpers: directories, one-off SQL, and a look at processes.

use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

pub fn data_dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub fn start(data_dir: &TempDir) -> EmbeddedPostgres {
    EmbeddedPostgres::start(data_dir.path(), Durability::Disposable).expect("a running cluster")
}

/// Looks again and again, up to a limit that only a failure reaches.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The one text that a statement yields, over a connection of its own.
pub fn try_answer(options: &PgConnectOptions, sql: &str) -> Result<String, sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut connection = options.connect().await?;
        let row = connection.fetch_one(AssertSqlSafe(sql.to_owned())).await?;
        connection.close().await?;
        row.try_get(0)
    })
}

pub fn answer(options: &PgConnectOptions, sql: &str) -> String {
    try_answer(options, sql).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Runs a statement that yields nothing.
pub fn execute(options: &PgConnectOptions, sql: &str) {
    match try_answer(options, sql) {
        Ok(_) | Err(sqlx::Error::RowNotFound) => {}
        Err(error) => panic!("{sql}: {error}"),
    }
}

pub fn find_server_pid(data_dir: &Path) -> Option<i32> {
    let content = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    content.lines().next()?.trim().parse().ok()
}

pub fn server_pid(data_dir: &Path) -> i32 {
    find_server_pid(data_dir).expect("a running server's postmaster.pid")
}

/// Asks `ps` and not the kernel's files, which not every system has. Zombies do not count.
fn process_column(pid: i32, column: &str) -> Option<String> {
    let output = Command::new("ps").args(["-o", column, "-p", &pid.to_string()]).output().expect("ps");
    let text = String::from_utf8(output.stdout).expect("text from ps");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

pub fn is_running(pid: i32) -> bool {
    process_column(pid, "stat=").is_some_and(|state| !state.starts_with('Z'))
}

pub fn process_group(pid: i32) -> i32 {
    let group = process_column(pid, "pgid=").expect("a running process");
    group.parse().expect("a process group")
}

pub fn send(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a process id");
    kill_process(pid, signal).expect("a process to signal");
}
