//! A primary with a streaming standby, both of a test's own.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use halfhour::embedded_postgres::EmbeddedPostgres;
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tempfile::TempDir;

use crate::external_database::{database_url, start_postgres};
use crate::http::{PATIENCE, wait_until};
use crate::processes::send;

/// A primary, and a standby that follows it. Both end with the test.
pub struct Pair {
    pub primary: EmbeddedPostgres,
    pub standby: Follower,
    /// Where the primary and the password of both are.
    directory: TempDir,
}

/// A server made by `pg_basebackup`.
pub struct Follower {
    directory: TempDir,
    programs: PathBuf,
    /// PostgreSQL does not run as root: whose files these are.
    owner: (u32, u32),
    password: String,
    child: Option<Child>,
}

impl Pair {
    pub async fn start() -> Self {
        let (directory, primary) = start_postgres();
        let standby = Follower::of(directory.path()).await;
        Self { primary, standby, directory }
    }

    /// The primary's address.
    pub fn url(&self) -> String {
        database_url(self.directory.path(), &self.primary)
    }

    /// The primary's first process.
    pub fn primary_pid(&self) -> u32 {
        let file = fs::read_to_string(self.directory.path().join("postgres/postmaster.pid")).unwrap();
        file.lines().next().unwrap().parse().unwrap()
    }

    /// From now on commits wait for a standby that there is none of, behind their place in the log, which this one replays.
    pub async fn hold_commits(&self) {
        self.tell_primary("alter system set synchronous_standby_names = 'nobody'").await;
        self.tell_primary("select pg_reload_conf()").await;
        // Whoever commits waits as soon as the checkpointer has read that.
        let commit = "set synchronous_commit = on; select pg_logical_emit_message(true, 'test', '')";
        while tokio::time::timeout(Duration::from_millis(300), self.tell_primary(commit)).await.is_ok() {}
    }

    /// Commits wait no more.
    pub async fn let_commits_go(&self) {
        self.tell_primary("alter system reset synchronous_standby_names").await;
        self.tell_primary("select pg_reload_conf()").await;
    }

    /// A transaction of the superuser's on the primary, which waits for nothing and holds what it has until it is dropped.
    pub async fn hold_on_primary(&self, statement: &str) -> PgConnection {
        let mut connection = PgConnection::connect_with(&self.primary.connect_options()).await.unwrap();
        let statements = format!("begin; {statement}");
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.unwrap();
        connection
    }

    /// A statement of the superuser's on the primary.
    pub async fn tell_primary(&self, statement: &str) {
        let mut connection = PgConnection::connect_with(&self.primary.connect_options()).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))).await.unwrap();
        connection.close().await.unwrap();
    }
}

impl Follower {
    /// Copies the primary of this directory, and follows it.
    pub async fn of(primary: &Path) -> Self {
        let (pg_data, owner) = (primary.join("postgres"), fs::metadata(primary.join("postgres")).unwrap());
        let options = fs::read_to_string(pg_data.join("postmaster.opts")).unwrap();
        let programs = Path::new(options.split(" \"").next().unwrap()).parent().unwrap().to_owned();
        let socket = fs::read_to_string(pg_data.join("postmaster.pid")).unwrap().lines().nth(4).unwrap().to_owned();
        let directory = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let owner = (owner.uid(), owner.gid());
        let _ = chown(directory.path(), Some(owner.0), Some(owner.1));
        let password = fs::read_to_string(primary.join("postgres.password")).unwrap().trim().to_owned();
        let mut follower = Self { directory, programs, owner, password, child: None };
        let copied = follower
            .command("pg_basebackup")
            .args(["-h", &socket, "-U", "halfhour", "-R", "-X", "stream", "-c", "fast", "-D"])
            .arg(follower.data())
            .status()
            .unwrap();
        assert!(copied.success(), "pg_basebackup");
        follower.start().await;
        follower
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// One of PostgreSQL's programs, as whoever may run it.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let is_owner = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == self.owner.0);
        let mut command = if is_owner {
            Command::new(program)
        } else {
            let mut command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={}", self.owner.0), format!("--regid={}", self.owner.1));
            command.args([&user, &group, "--clear-groups", "--inh-caps=-all", "--"]).arg(program);
            command
        };
        command.env("PGPASSWORD", &self.password).stdin(Stdio::null()).current_dir(self.directory.path());
        command
    }

    /// Starts it, and waits until it answers. A conflict with a read is not waited for: the read is cancelled.
    pub async fn start(&mut self) {
        let log = || File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let socket_dir = format!("unix_socket_directories={}", self.directory.path().display());
        let settings = [
            &*socket_dir,
            "listen_addresses=",
            "port=5432",
            "max_connections=60",
            "fsync=off",
            "shared_buffers=16MB",
            "max_standby_streaming_delay=0",
            "wal_retrieve_retry_interval=100ms",
        ];
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(settings.iter().flat_map(|setting| ["-c", setting]));
        self.child = Some(command.stdout(log()).stderr(log()).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while PgConnection::connect(&self.url()).await.is_err() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap();
            assert!(Instant::now() < deadline, "the standby does not answer: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        self.url_of("halfhour")
    }

    /// The address of one of its databases.
    pub fn url_of(&self, database: &str) -> String {
        let (password, socket_dir) = (&self.password, self.directory.path().display());
        format!("postgres://halfhour:{password}@localhost/{database}?host={socket_dir}")
    }

    /// Asks it something that has one answer, again where that is in the way of replay.
    pub async fn ask(&self, question: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.try_ask(question).await {
                Ok(answer) => return answer,
                Err(error) => assert!(Instant::now() < deadline, "{question}: {error}"),
            }
        }
    }

    async fn try_ask(&self, question: &str) -> Result<bool, sqlx::Error> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(question.to_owned()))).await?;
        connection.close().await?;
        Ok(row.try_get(0).unwrap_or_default())
    }

    /// Waits until the answer is yes.
    pub async fn until(&self, question: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.ask(question).await {
            assert!(Instant::now() < deadline, "never: {question}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Replays nothing until [`Follower::resume`].
    pub async fn pause(&self) {
        self.ask("select pg_wal_replay_pause() is null").await;
        self.until("select pg_get_wal_replay_pause_state() = 'paused'").await;
    }

    pub async fn resume(&self) {
        self.ask("select pg_wal_replay_resume() is null").await;
    }

    /// Ends all connections to it, and it.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        send(child.id(), Signal::INT);
        wait_until("the standby to stop", || child.try_wait().unwrap().is_some()).await;
    }

    /// Everything that runs of it, whoever started it.
    fn processes(&self) -> Vec<u32> {
        let postmaster = self.child.as_ref().unwrap().id();
        let mut processes = crate::processes::children_of(postmaster);
        processes.push(postmaster);
        processes
    }

    /// It says nothing any more, and closes nothing.
    pub fn freeze(&self) {
        self.processes().into_iter().for_each(|pid| send(pid, Signal::STOP));
    }

    pub fn thaw(&self) {
        self.processes().into_iter().for_each(|pid| send(pid, Signal::CONT));
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.thaw();
        }
        if let Some(mut child) = self.child.take() {
            send(child.id(), Signal::QUIT);
            let _ = child.wait();
        }
    }
}
