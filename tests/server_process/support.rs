//! A directory for one test, and the binary run in it, with no environment but what the test gives it.

use std::fs::{self, File, Permissions};
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{Http, PATIENCE, wait_until};
use crate::processes::{Postmaster, send, working_in};

/// One test's directory. Standard output and error of its servers go to files in it.
pub struct Home {
    directory: TempDir,
    environment: Vec<(String, String)>,
    starts: std::cell::Cell<u32>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        // Open for walking through: where root may not pass everywhere, PostgreSQL's user has to.
        let directory = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        // Private sockets go here, so that one that is left behind is seen.
        fs::create_dir(directory.path().join("tmp")).unwrap();
        Self { directory, environment: Vec::new(), starts: std::cell::Cell::new(0) }
    }

    /// With a variable set for all that runs here.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With the age limit off, for real usage of long ago.
    pub fn with_any_age(self) -> Self {
        self.with("HALFHOUR_INGEST_MAX_AGE_DAYS", "0")
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn data_dir(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The binary, to be run here.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_halfhour"));
        command.env_clear();
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("TMPDIR", self.path().join("tmp"))
            .env("HALFHOUR_DATA_DIR", self.data_dir())
            .env("HALFHOUR_BIND", "127.0.0.1:0")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Starts the server and does not wait for anything.
    pub fn spawn(&self) -> Running {
        self.spawn_as(self.command())
    }

    /// The same with a command of the caller's.
    pub fn spawn_as(&self, mut command: Command) -> Running {
        let number = self.starts.replace(self.starts.get() + 1);
        let file = |stream: &str| self.path().join(format!("{stream}-{number}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        Running { child: command.spawn().unwrap(), stdout, stderr }
    }

    /// Starts the server and waits until it listens.
    pub async fn serve(&self) -> Server {
        self.spawn().listening().await
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command().args(arguments).output().unwrap();
        Said {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON value that a command prints when it succeeds.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(&[arguments, &["--json"]].concat());
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{arguments:?}: {said:?}");
        assert_eq!(said.stdout.lines().count(), 1, "{arguments:?}: {said:?}");
        serde_json::from_str(&said.stdout).unwrap()
    }

    /// A value of `credentials.env`.
    pub fn credential(&self, name: &str) -> String {
        let path = self.data_dir().join("credentials.env");
        let content = fs::read_to_string(path).unwrap();
        let line = content.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{name} is missing")).to_owned()
    }

    pub fn device_token(&self) -> String {
        self.credential("HALFHOUR_DEVICE_TOKEN")
    }

    pub fn viewer_token(&self) -> String {
        self.credential("HALFHOUR_VIEWER_TOKEN")
    }

    /// Whether a start has come to make a file or directory whose name begins so.
    pub fn has(&self, name: &str) -> bool {
        let path = self.data_dir().join(name);
        let (parent, name) = (path.parent().unwrap(), path.file_name().unwrap().to_string_lossy());
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&*name))
    }

    /// The private PostgreSQL, which has to be running.
    #[track_caller]
    pub fn postmaster(&self) -> Postmaster {
        Postmaster::find(&self.data_dir()).expect("a running PostgreSQL")
    }

    /// Asserts that nothing runs here any more and that no socket is left. On a busy machine PostgreSQL is ended by force, and
    /// what was killed is gone a moment later.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let asked = Instant::now();
        while !working_in(self.path()).is_empty() && asked.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(working_in(self.path()), Vec::<String>::new());
        assert_eq!(fs::read_dir(self.path().join("tmp")).unwrap().count(), 0, "a socket directory is left");
        assert!(!self.data_dir().join("postgres/postmaster.pid").exists());
    }
}

/// A server process, listening or not. Dropped, it is killed, and its private PostgreSQL with it.
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, which has to come within a time.
    pub async fn ended_within(&mut self, limit: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < limit, "still running after {limit:?}: {}", self.stdout());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until it says that it listens.
    pub async fn listening(mut self) -> Server {
        let mut url = None;
        wait_until("the server to listen", || {
            let stderr = self.stderr();
            let line = stderr.lines().find_map(|line| line.strip_prefix("halfhour listens on "));
            url = line.and_then(|rest| rest.split_once(' ')).map(|(url, _)| url.to_owned());
            assert!(url.is_some() || !self.has_ended(), "the server ended: {stderr}");
            url.is_some()
        })
        .await;
        Server { http: Http::new(&url.unwrap()), running: self }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// A server that listens.
pub struct Server {
    pub http: Http,
    pub running: Running,
}

impl Deref for Server {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Stops it in good order.
    pub async fn stop(mut self) {
        self.running.signal(Signal::TERM);
        let status = self.running.ended_within(Duration::from_secs(10)).await;
        assert_eq!(status.code(), Some(0), "{}{}", self.running.stdout(), self.running.stderr());
    }

    /// Kills it without a word, and waits only for the process itself.
    pub async fn kill(mut self) {
        self.running.signal(Signal::KILL);
        self.running.ended_within(PATIENCE).await;
    }
}
