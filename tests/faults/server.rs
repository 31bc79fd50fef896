//! A server process with a proxy before it and a proxy behind it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::postgres::Postgres;
use crate::proxy::{Proxy, Upstream};

/// A server listens long before.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a request may take.
pub const DEADLINE: Duration = Duration::from_secs(3);

const SECRET: &str = "a secret of the tests, the same on every process";

/// A server, running or not.
pub struct Server {
    pub name: usize,
    directory: PathBuf,
    database_url: String,
    child: Option<Child>,
    starts: u32,
    /// Between clients and this server.
    pub clients: Proxy,
    /// Between this server and PostgreSQL.
    pub database: Proxy,
    /// Where it listens itself.
    pub port: u16,
}

/// The binary, or the other build of it that `FAULTS_SERVER` names, with the settings of this test only.
pub fn command(directory: &Path, database_url: &str) -> Command {
    let binary = std::env::var_os("FAULTS_SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_halfhour").into());
    let mut command = Command::new(binary);
    command.env_clear();
    for name in ["PATH", "LD_LIBRARY_PATH"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    for limit in ["ANONYMOUS_PER_MINUTE", "DEVICE_PER_MINUTE", "VIEWER_PER_MINUTE", "DEVICE_BUCKETS_PER_HOUR"] {
        command.env(format!("HALFHOUR_LIMIT_{limit}"), "0");
    }
    command
        .env("TMPDIR", directory)
        .env("HALFHOUR_DATA_DIR", directory.join("data"))
        .env("HALFHOUR_BIND", "127.0.0.1:0")
        .env("HALFHOUR_SECRET", SECRET)
        .env("HALFHOUR_REQUEST_DEADLINE_MS", DEADLINE.as_millis().to_string())
        .env("DATABASE_URL", database_url)
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

impl Server {
    /// Starts one and waits until it listens.
    pub async fn start(name: usize, directory: &Path, postgres: &Postgres) -> Self {
        let database = Proxy::before(Upstream::Unix(postgres.socket())).await;
        let clients = Proxy::before(Upstream::Tcp(0)).await;
        let database_url = postgres.url_through(database.port());
        let directory = directory.to_owned();
        let mut server = Self { name, directory, database_url, child: None, starts: 0, clients, database, port: 0 };
        server.start_again().await;
        server
    }

    /// Starts it where it has ended. Answers how long it took until it listened.
    pub async fn start_again(&mut self) -> Duration {
        let began = Instant::now();
        self.starts += 1;
        let log = |stream: &str| File::create(self.log(stream)).unwrap();
        let mut command = command(&self.directory, &self.database_url);
        let child = command.stdout(log("log")).stderr(log("said")).spawn().unwrap();
        let child = self.child.insert(child);
        loop {
            let said =
                fs::read_to_string(self.directory.join(format!("server-{}-{}.said", self.name, self.starts))).unwrap();
            let line = said.lines().find_map(|line| line.strip_prefix("halfhour listens on http://127.0.0.1:"));
            if let Some(port) = line.and_then(|rest| rest.split(' ').next()) {
                self.port = port.parse().unwrap();
                self.clients.lead_to(Upstream::Tcp(self.port));
                return began.elapsed();
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "server {} does not listen: {said}", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where its lines go.
    fn log(&self, ending: &str) -> PathBuf {
        self.directory.join(format!("server-{}-{}.{ending}", self.name, self.starts))
    }

    /// What all its processes wrote so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        let logs = (1..=self.starts).map(|start| self.directory.join(format!("server-{}-{start}.log", self.name)));
        logs.flat_map(|log| fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().unwrap()), signal).unwrap();
    }

    pub fn freeze(&self, frozen: bool) {
        self.send(if frozen { Signal::STOP } else { Signal::CONT });
    }

    /// Kills it without a word.
    pub fn kill(&mut self) {
        self.send(Signal::KILL);
        self.child.take().unwrap().wait().unwrap();
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
