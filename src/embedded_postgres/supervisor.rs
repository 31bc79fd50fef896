//! Keeps the server running: starts it, starts it again when it dies or was upgraded, and ends it in good order.
//!
//! All of this happens on one thread that lives as long as the cluster. It has to, because the
//! kernel ends the server when the *thread* that spawned it ends.

use super::cluster::{Cluster, PRELOADED, log_tail};
use super::error::EmbeddedPostgresError;
use super::error::files;
use super::interrupt::Interrupt;
use super::layout::remove_tree;
use super::pid_file::{self, PidFile};
use super::programs::{FileIdentity, Programs};
use super::server::{POLL_INTERVAL, Server, Waited};
use super::settings::Durability;
use super::socket_dir;
use super::stop::StopAsked;
use super::upgrade::{Handover, UpgradeKeeper};
use rustix::process::{Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often a running server is looked at.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

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
    pub(super) fn start(
        cluster: Cluster,
        programs: Programs,
        interrupt: &Interrupt,
    ) -> Result<(Self, PathBuf), EmbeddedPostgresError> {
        let interrupt = interrupt.clone();
        let (stop, stopped) = mpsc::channel();
        let (report, ready) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("embedded-postgres".to_owned())
            .spawn(move || {
                let keeper = UpgradeKeeper::new(programs);
                let mut watch = Watch { cluster, stop: StopAsked::new(stopped, interrupt), keeper };
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
    keeper: UpgradeKeeper,
}

/// Why a server is no longer watched.
enum WatchEnded {
    StopAsked,
    /// It ended unasked, in this way.
    Died(String),
    /// It makes room for the programs that have taken the place of its own.
    Upgrade(Handover),
}

impl Watch {
    /// The thread's whole life. An error before the report is one of starting.
    fn run(&mut self, report: &Sender<PathBuf>) -> Result<(), EmbeddedPostgresError> {
        let mut program = UpgradeKeeper::program_to_start(&self.cluster);
        let adopted = self.wait_for_survivor()?;
        let mut server = match adopted {
            Some(server) => server,
            None => match self.launch()? {
                Some(server) => server,
                None => return Ok(()),
            },
        };
        self.stop.started();
        if report.send(self.cluster.socket_dir.clone()).is_err() {
            return server.shut_down(&self.cluster.pg_data(), self.stop.by());
        }
        loop {
            self.keeper.started(&self.cluster, &server, program, &self.stop);
            let ended = self.watch(&mut server);
            let next = match ended {
                WatchEnded::StopAsked => return server.shut_down(&self.cluster.pg_data(), self.stop.by()),
                WatchEnded::Died(ending) => {
                    tracing::error!(ending, "the private PostgreSQL ended unasked and is started again");
                    self.relaunch(&mut program)
                }
                WatchEnded::Upgrade(handover) => self.hand_over(server, handover, &mut program),
            };
            server = match next {
                Some(server) => server,
                None => return Ok(()),
            };
        }
    }

    /// Watches a server that runs, and its programs.
    fn watch(&mut self, server: &mut Server) -> WatchEnded {
        loop {
            if self.stop.within(WATCH_INTERVAL) {
                return WatchEnded::StopAsked;
            }
            if let Some(ending) = server.ending(&self.cluster.pg_data()) {
                return WatchEnded::Died(ending);
            }
            if let Some(handover) = self.keeper.tend(&self.cluster, &self.stop) {
                return WatchEnded::Upgrade(handover);
            }
        }
    }

    /// Ends the server in order, and starts the programs that have taken its place.
    fn hand_over(&mut self, server: Server, handover: Handover, program: &mut Option<FileIdentity>) -> Option<Server> {
        let Handover { successor, guests: _held } = handover;
        tracing::info!(version = successor.version, "the private PostgreSQL is restarted after its upgrade");
        if let Err(error) = server.shut_down(&self.cluster.pg_data(), self.stop.by()) {
            // It may still end. Until then no other one starts.
            tracing::error!(%error, "the private PostgreSQL did not make room");
        }
        self.cluster.installation = successor;
        *program = UpgradeKeeper::program_to_start(&self.cluster);
        match self.launch() {
            Ok(server) => server,
            Err(error) => {
                tracing::error!(%error, "the upgraded PostgreSQL did not start");
                self.relaunch(program)
            }
        }
    }

    /// Starts the server again, however often it takes, from what lies on disk each time. `None` if that has become
    /// pointless.
    fn relaunch(&mut self, program: &mut Option<FileIdentity>) -> Option<Server> {
        let (mut pause, longest_pause) = RESTART_PAUSES;
        loop {
            if self.stop.within(pause) {
                return None;
            }
            if !self.cluster.pg_data().exists() {
                tracing::error!("the private PostgreSQL's directory is gone: it stays down");
                return None;
            }
            if self.keeper.are_others_on_disk(&self.cluster) {
                let (old, data_dir) = (&self.cluster.installation, &self.cluster.layout.data_dir);
                if let Some(successor) = old.successor(data_dir).filter(|found| found.major == old.major) {
                    self.cluster.installation = successor;
                }
            }
            *program = UpgradeKeeper::program_to_start(&self.cluster);
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

    /// Whether a running server was started with the durability and the libraries that are wanted now. It writes its own
    /// command line into its directory.
    fn is_as_wanted(&self) -> bool {
        let options = fs::read_to_string(self.cluster.pg_data().join("postmaster.opts")).unwrap_or_default();
        let disposable = options.contains("fsync=off");
        disposable == (self.cluster.durability == Durability::Disposable) && options.contains(PRELOADED)
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
        match server.ready_within(&pg_data, READY_TIMEOUT, &self.stop) {
            Waited::Ready => Ok(Attempt::Ready(server)),
            Waited::StopAsked => {
                server.shut_down(&pg_data, self.stop.by())?;
                Ok(Attempt::StopAsked)
            }
            Waited::Ended(ending) => {
                let tail = log_tail(&self.cluster.layout.log(), log_start);
                let still_in_use = tail.contains(STILL_IN_USE);
                let error = self.not_ready(format!("{ending} before it was ready"), tail);
                if still_in_use { Ok(Attempt::StillInUse(error)) } else { Err(error) }
            }
            Waited::TooLate => {
                server.shut_down(&pg_data, self.stop.by())?;
                let what = format!("was not ready within {} s", READY_TIMEOUT.as_secs());
                Err(self.not_ready(what, log_tail(&self.cluster.layout.log(), log_start)))
            }
        }
    }

    fn not_ready(&self, what: String, tail: String) -> EmbeddedPostgresError {
        EmbeddedPostgresError::NotReady { what, log: self.cluster.layout.log(), tail }
    }
}
