//! A durable PostgreSQL that the test runs itself, so that it may end it, freeze it, and start it when it likes.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use halfhour::embedded_postgres::{Durability, EmbeddedPostgres};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

/// A start may have to wait for the remains of what was killed.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Postgres {
    child: Option<Child>,
    directory: PathBuf,
    program: PathBuf,
    password: String,
}

impl Postgres {
    /// Makes a cluster in an empty directory that everyone may walk through, and starts it.
    pub async fn create(directory: &Path) -> Self {
        let home = directory.join("database");
        let embedded = EmbeddedPostgres::start(&home, Durability::Durable).unwrap();
        let options = fs::read_to_string(home.join("postgres/postmaster.opts")).unwrap();
        embedded.stop().unwrap();
        let program = PathBuf::from(options.split(" \"").next().unwrap());
        let password = fs::read_to_string(home.join("postgres.password")).unwrap().trim().to_owned();
        fs::set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
        let mut postgres = Self { child: None, directory: directory.to_owned(), program, password };
        let owner = fs::metadata(postgres.data()).unwrap();
        fs::create_dir(postgres.socket_dir()).unwrap();
        chown(postgres.socket_dir(), Some(owner.uid()), Some(owner.gid())).unwrap();
        postgres.start().await;
        postgres
    }

    fn data(&self) -> PathBuf {
        self.directory.join("database/postgres")
    }

    fn socket_dir(&self) -> PathBuf {
        self.directory.join("socket")
    }

    pub fn socket(&self) -> PathBuf {
        self.socket_dir().join(".s.PGSQL.5432")
    }

    /// As commands reach it, past every proxy.
    pub fn url(&self) -> String {
        format!("postgres://halfhour:{}@localhost/halfhour?host={}", self.password, self.socket_dir().display())
    }

    /// As a server reaches it through a proxy.
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://halfhour:{}@127.0.0.1:{port}/halfhour?sslmode=disable", self.password)
    }

    pub async fn superuser(&self) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new().socket(self.socket_dir()).username("halfhour").database("halfhour");
        options.password(&self.password).connect().await
    }

    /// Starts it and waits until it answers.
    pub async fn start(&mut self) {
        let began = Instant::now();
        loop {
            // What is left of its predecessor may be in the way of the first attempts.
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                self.child = Some(self.spawn());
            } else if let Ok(connection) = self.superuser().await {
                connection.close().await.unwrap();
                return;
            }
            assert!(began.elapsed() < PATIENCE, "PostgreSQL did not start, see {}", self.directory.display());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn spawn(&self) -> Child {
        let log = File::options().append(true).create(true).open(self.directory.join("postgres.log")).unwrap();
        let mut command = Command::new(&self.program);
        let owner = fs::metadata(self.data()).unwrap();
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        for setting in ["listen_addresses=", "max_connections=60", "log_line_prefix=%m [%p] %e ", "timezone=UTC"] {
            command.args(["-c", setting]);
        }
        command.arg("-D").arg(self.data()).arg("-k").arg(self.socket_dir());
        command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Ends it at once, as `pg_ctl stop -m immediate` does: the next start recovers from the log.
    pub async fn stop_at_once(&mut self) {
        kill_process(self.pid(), Signal::QUIT).unwrap();
        self.gone().await;
    }

    /// Kills every process of it.
    pub async fn kill(&mut self) {
        // The first one first, so that it does not start a recovery.
        let children = self.children();
        kill_process(self.pid(), Signal::KILL).unwrap();
        for pid in children {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.gone().await;
    }

    /// Kills one backend, upon which it ends all others and recovers by itself.
    pub async fn kill_a_backend(&mut self) {
        let mut superuser = self.superuser().await.unwrap();
        let backend = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() limit 1";
        let row = sqlx::Executor::fetch_optional(&mut superuser, backend).await.unwrap();
        if let Some(pid) = row.and_then(|row| Pid::from_raw(sqlx::Row::get(&row, 0))) {
            let _ = kill_process(pid, Signal::KILL);
        }
        drop(superuser);
        // It answers until it has noticed.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.start().await;
    }

    /// Freezes all of its processes, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        for pid in std::iter::once(self.pid()).chain(self.children()) {
            // A backend may end at any time.
            let _ = kill_process(pid, signal);
        }
    }

    async fn gone(&mut self) {
        let mut child = self.child.take().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "PostgreSQL does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn children(&self) -> Vec<Pid> {
        let parent = self.pid().as_raw_nonzero().to_string();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = processes.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
        let is_child = |number: &i32| {
            let stat = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            // Behind the name, which may hold anything: the state, and the parent.
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&parent)
        };
        numbers.filter(is_child).filter_map(Pid::from_raw).collect()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.freeze(false);
        }
        if let Some(child) = &mut self.child {
            let _ = kill_process(Pid::from_child(child), Signal::QUIT);
            let _ = child.wait();
        }
    }
}
