//! Keeps the server running: starts it, starts it again when it dies, and ends it in good order.
//!
//! All of this happens on one thread that lives as long as the cluster. It has to, because the
//! kernel ends the server when the *thread* that spawned it ends.

use super::cluster::Cluster;
use super::error::EmbeddedPostgresError;
use super::error::files;
use super::interrupt::Interrupt;
use super::layout::remove_tree;
use super::pid_file::{self, PidFile};
use super::settings::Durability;
use super::socket_dir;
use rustix::process::{Pid, Signal, kill_process};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a running server is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How often something that should happen any moment is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long a server may take to become ready. Recovery after a crash is most of it.
const READY_TIMEOUT: Duration = Duration::from_mins(2);

/// How long the kernel's signal gets to end a server whose process died. PostgreSQL itself gives its
/// backends five seconds.
const DYING_TIMEOUT: Duration = Duration::from_secs(6);

/// How long the remains of an earlier run may stand in the way.
const REMAINS_TIMEOUT: Duration = Duration::from_secs(30);

/// How long backends of a killed server get to notice it before they are ended.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a restart doubles from the first to the second while restarts fail.
const RESTART_PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The ways to end a server, from the kindest, and what is left for those that follow. Fast ends sessions and writes a
/// checkpoint; immediate leaves recovery to the next start, and loses nothing either.
const ENDINGS: [(Signal, &str, Duration); 3] = [
    (Signal::INT, "fast", Duration::from_millis(1500)),
    (Signal::QUIT, "immediate", Duration::from_millis(500)),
    (Signal::KILL, "by force", Duration::ZERO),
];

/// Each way gets as much, however late it is.
const LEAST_PATIENCE: Duration = Duration::from_millis(300);

/// How long a server has to end where nobody says by when, and where its start is interrupted.
const PATIENCE: Duration = Duration::from_secs(12);
const HURRY: Duration = Duration::from_secs(5);

/// PostgreSQL's SQLSTATE for "the remains of another server are still in use", as it stands in a line
/// of the log.
const STILL_IN_USE: &str = " F0001 FATAL:";

/// The thread that runs the server. Dropping it ends the server without waiting.
#[derive(Debug)]
pub(super) struct Supervisor {
    stop: Sender<Instant>,
    thread: JoinHandle<Result<(), EmbeddedPostgresError>>,
}

impl Supervisor {
    /// Starts the server and waits until it is ready. Returns where its socket is.
    pub(super) fn start(cluster: Cluster, interrupt: &Interrupt) -> Result<(Self, PathBuf), EmbeddedPostgresError> {
        let interrupt = Some(interrupt.clone());
        let (stop, stopped) = mpsc::channel();
        let (report, ready) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .spawn(move || {
                let mut watch = Watch { cluster, stop: StopAsked { stopped, interrupt, by: Cell::new(None) } };
                let outcome = watch.run(&report);
                let cleaned = remove_tree(&watch.cluster.socket_dir);
                outcome.and(cleaned)
            })
            .map_err(EmbeddedPostgresError::Thread)?;
        let supervisor = Self { stop, thread };
        match ready.recv() {
            Ok(socket_dir) => Ok((supervisor, socket_dir)),
            // No report means that the thread has ended, and why is its result.
            Err(_) => Err(supervisor.stop_by(Instant::now()).err().unwrap_or(EmbeddedPostgresError::Interrupted)),
        }
    }

    /// Ends the server and waits for it, the more firmly the nearer that time is.
    pub(super) fn stop_by(self, time: Instant) -> Result<(), EmbeddedPostgresError> {
        // Whoever has ended does not listen any more.
        let _ = self.stop.send(time);
        self.thread.join().unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
    }
}

/// The supervisor's end of the line.
struct StopAsked {
    stopped: Receiver<Instant>,
    /// Ends a start that is under way.
    interrupt: Option<Interrupt>,
    /// By when the server is to be gone.
    by: Cell<Option<Instant>>,
}

impl StopAsked {
    /// Waits, and says whether to stop.
    fn within(&self, patience: Duration) -> bool {
        let is_interrupted = || self.interrupt.as_ref().is_some_and(Interrupt::is_set);
        match self.stopped.recv_timeout(patience) {
            Ok(time) => {
                self.by.set(Some(time));
                true
            }
            Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => is_interrupted(),
        }
    }

    /// By when a server is to be gone that is asked to end now.
    fn by(&self) -> Instant {
        self.by.get().unwrap_or_else(|| Instant::now() + if self.interrupt.is_some() { HURRY } else { PATIENCE })
    }
}

/// The server process.
enum Server {
    Child(Child),
    /// Started by a process that is gone. It can be watched and signalled, but not waited for.
    Adopted(Pid),
}

impl Server {
    fn pid(&self) -> Pid {
        match self {
            Self::Child(child) => Pid::from_child(child),
            Self::Adopted(pid) => *pid,
        }
    }

    /// How it ended, if it did.
    fn ending(&mut self, pg_data: &Path) -> Option<String> {
        match self {
            Self::Child(child) => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(format!("ended ({status})")),
                Err(error) => Some(format!("cannot be watched ({error})")),
            },
            Self::Adopted(pid) => (!pid_file::serves(*pid, pg_data)).then(|| "ended".to_owned()),
        }
    }

    /// Ends the server, ever more firmly, so that it is gone at a time.
    fn shut_down(mut self, pg_data: &Path, by: Instant) -> Result<(), EmbeddedPostgresError> {
        for (signal, manner, rest) in ENDINGS {
            let patience = by.saturating_duration_since(Instant::now()).saturating_sub(rest).max(LEAST_PATIENCE);
            if self.ending(pg_data).is_some() {
                return Ok(());
            }
            let asked = Instant::now();
            if let Err(error) = kill_process(self.pid(), signal) {
                tracing::warn!(%error, manner, "the private PostgreSQL could not be asked to end");
            }
            while asked.elapsed() < patience {
                if self.ending(pg_data).is_some() {
                    let orphans = if signal == Signal::KILL { Signal::KILL } else { Signal::QUIT };
                    pid_file::end_orphans(pg_data, orphans);
                    return Ok(());
                }
                thread::sleep(POLL_INTERVAL);
            }
            tracing::warn!(manner, "the private PostgreSQL did not end in time");
        }
        Err(EmbeddedPostgresError::NotStopped { pid: self.pid().as_raw_nonzero().get().unsigned_abs() })
    }
}

/// What became of an attempt to start.
enum Attempt {
    Ready(Server),
    StopAsked,
    /// Something of an earlier server is still there; it is worth another try.
    StillInUse(EmbeddedPostgresError),
}

struct Watch {
    cluster: Cluster,
    stop: StopAsked,
}

impl Watch {
    /// The thread's whole life. An error before the report is one of starting.
    fn run(&mut self, report: &Sender<PathBuf>) -> Result<(), EmbeddedPostgresError> {
        let adopted = self.wait_for_survivor()?;
        let mut server = match adopted {
            Some(server) => server,
            None => match self.launch()? {
                Some(server) => server,
                None => return Ok(()),
            },
        };
        // From here on the server is ended only when everything that uses it has ended.
        self.stop.interrupt = None;
        if report.send(self.cluster.socket_dir.clone()).is_err() {
            return server.shut_down(&self.cluster.pg_data(), self.stop.by());
        }
        loop {
            let ending = loop {
                if self.stop.within(WATCH_INTERVAL) {
                    return server.shut_down(&self.cluster.pg_data(), self.stop.by());
                }
                if let Some(ending) = server.ending(&self.cluster.pg_data()) {
                    break ending;
                }
            };
            tracing::error!(ending, "the private PostgreSQL ended unasked and is started again");
            server = match self.relaunch() {
                Some(server) => server,
                None => return Ok(()),
            };
        }
    }

    /// Starts the server again, however often it takes. `None` if that has become pointless.
    fn relaunch(&self) -> Option<Server> {
        let (mut pause, longest_pause) = RESTART_PAUSES;
        loop {
            if self.stop.within(pause) {
                return None;
            }
            if !self.cluster.pg_data().exists() {
                tracing::error!("the private PostgreSQL's directory is gone: it stays down");
                return None;
            }
            match self.launch() {
                Ok(Some(server)) => {
                    tracing::info!("the private PostgreSQL is back");
                    return Some(server);
                }
                Ok(None) => return None,
                Err(error) => {
                    tracing::error!(%error, "the private PostgreSQL could not be started again yet");
                }
            }
            pause = longest_pause.min(pause * 2);
        }
    }

    /// Waits for the server of a killed process to end, or adopts it where nothing ends it.
    fn wait_for_survivor(&mut self) -> Result<Option<Server>, EmbeddedPostgresError> {
        let pg_data = self.cluster.pg_data();
        let began = Instant::now();
        let patience = if self.cluster.launcher.dies_with_parent() { DYING_TIMEOUT } else { Duration::ZERO };
        let mut asked_to_end = false;
        while let Some(pid) = pid_file::live_server(&pg_data) {
            if began.elapsed() >= patience {
                if !self.is_as_wanted() {
                    if !asked_to_end {
                        tracing::info!("a PostgreSQL from an earlier run has other settings: ending it");
                        asked_to_end = kill_process(pid, Signal::INT).is_ok();
                    }
                } else if let Some(file) = PidFile::read_ready(&pg_data) {
                    tracing::info!("a PostgreSQL from an earlier run is alive: taking it over");
                    // Usually the same directory; another where TMPDIR has changed since.
                    if self.cluster.socket_dir != file.socket_dir {
                        remove_tree(&self.cluster.socket_dir)?;
                        self.cluster.socket_dir = file.socket_dir;
                    }
                    return Ok(Some(Server::Adopted(file.pid)));
                }
            }
            if began.elapsed() >= REMAINS_TIMEOUT {
                return Err(EmbeddedPostgresError::Lingering {
                    pid: pid.as_raw_nonzero().get().unsigned_abs(),
                    pg_data,
                });
            }
            if self.stop.within(POLL_INTERVAL) {
                return Err(EmbeddedPostgresError::Interrupted);
            }
        }
        Ok(None)
    }

    /// Whether a running server was started with the durability that is wanted now. It writes its own
    /// command line into its directory.
    fn is_as_wanted(&self) -> bool {
        let options = fs::read_to_string(self.cluster.pg_data().join("postmaster.opts"));
        let disposable = options.is_ok_and(|options| options.contains("fsync=off"));
        disposable == (self.cluster.durability == Durability::Disposable)
    }

    /// Starts the server and waits until it is ready. `None` if asked to stop meanwhile.
    fn launch(&self) -> Result<Option<Server>, EmbeddedPostgresError> {
        let began = Instant::now();
        let mut pause = POLL_INTERVAL;
        loop {
            match self.attempt()? {
                Attempt::Ready(server) => return Ok(Some(server)),
                Attempt::StopAsked => return Ok(None),
                Attempt::StillInUse(error) if began.elapsed() >= REMAINS_TIMEOUT => {
                    return Err(error);
                }
                Attempt::StillInUse(_) => {}
            }
            if began.elapsed() >= ORPHAN_PATIENCE {
                let ended = pid_file::end_orphans(&self.cluster.pg_data(), Signal::QUIT);
                tracing::warn!(ended, "processes of the PostgreSQL that died are still there");
            }
            if self.stop.within(pause) {
                return Ok(None);
            }
            pause = ORPHAN_PATIENCE.min(pause * 2);
        }
    }

    fn attempt(&self) -> Result<Attempt, EmbeddedPostgresError> {
        let pg_data = self.cluster.pg_data();
        socket_dir::ensure(&self.cluster.socket_dir, &self.cluster.launcher)?;
        if pid_file::live_server(&pg_data).is_none() {
            pid_file::remove_stale(&pg_data).map_err(files("remove the stale postmaster.pid in", &pg_data))?;
            socket_dir::remove_stale_socket(&self.cluster.socket_dir);
        }
        let mut command = self.cluster.server_command()?;
        let log_start = fs::metadata(self.cluster.layout.log()).map_or(0, |log| log.len());
        let child = command
            .spawn()
            .map_err(|source| EmbeddedPostgresError::Spawn { program: self.cluster.installation.postgres(), source })?;
        let mut server = Server::Child(child);
        let began = Instant::now();
        loop {
            if let Some(ending) = server.ending(&pg_data) {
                let tail = self.log_tail(log_start);
                let still_in_use = tail.contains(STILL_IN_USE);
                let error = self.not_ready(format!("{ending} before it was ready"), tail);
                return if still_in_use { Ok(Attempt::StillInUse(error)) } else { Err(error) };
            }
            let own = PidFile::read(&pg_data).filter(|file| file.pid == server.pid());
            if own.is_some_and(|file| file.ready) {
                return Ok(Attempt::Ready(server));
            }
            if began.elapsed() >= READY_TIMEOUT {
                server.shut_down(&pg_data, self.stop.by())?;
                let what = format!("was not ready within {} s", READY_TIMEOUT.as_secs());
                return Err(self.not_ready(what, self.log_tail(log_start)));
            }
            if self.stop.within(POLL_INTERVAL) {
                server.shut_down(&pg_data, self.stop.by())?;
                return Ok(Attempt::StopAsked);
            }
        }
    }

    fn not_ready(&self, what: String, tail: String) -> EmbeddedPostgresError {
        EmbeddedPostgresError::NotReady { what, log: self.cluster.layout.log(), tail }
    }

    /// The last lines that the log has gained since a position.
    fn log_tail(&self, start: u64) -> String {
        const LINES: usize = 20;
        const BYTES: u64 = 16 * 1024;
        let mut content = Vec::new();
        let read = File::open(self.cluster.layout.log()).and_then(|mut log| {
            let end = log.metadata()?.len();
            log.seek(SeekFrom::Start(start.max(end.saturating_sub(BYTES))))?;
            log.read_to_end(&mut content)
        });
        if let Err(error) = read {
            return format!("(the log cannot be read: {error})");
        }
        let text = String::from_utf8_lossy(&content);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LINES)..].join("\n")
    }
}
