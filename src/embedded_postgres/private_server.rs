//! The private PostgreSQL as its owner sees it: started or joined, and ended.

use super::binaries;
use super::cluster::{self, Cluster};
use super::connection::{connect_options, ensure_database, is_passing};
use super::error::EmbeddedPostgresError;
use super::interrupt::Interrupt;
use super::launcher::Launcher;
use super::layout::{GuestLock, Layout, LockAttempt, ServerLock};
use super::pid_file::PidFile;
use super::programs::Programs;
use super::settings::Durability;
use super::socket_dir;
use super::stop::PATIENCE;
use super::supervisor::Supervisor;
use sqlx::postgres::PgConnectOptions;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// How long a command waits for a cluster that another process is just starting.
const JOIN_TIMEOUT: Duration = Duration::from_mins(1);
const JOIN_INTERVAL: Duration = Duration::from_millis(50);

/// How long a command that started the cluster waits for those who joined it, before it ends it under them.
const GUEST_PATIENCE: Duration = Duration::from_mins(1);

/// A private PostgreSQL that runs at least as long as this value lives.
pub struct EmbeddedPostgres {
    data_dir: PathBuf,
    connect_options: PgConnectOptions,
    /// What this process runs; `None` where it joined another's.
    running: Option<Running>,
    /// Where this process joined another's.
    _guest: Option<GuestLock>,
}

/// The server and the right to run it. The lock is declared last and so released last.
struct Running {
    supervisor: Supervisor,
    programs: Programs,
    /// Whether it is ended only after those who joined it: a command does so, a server does not.
    hosts: Option<Layout>,
    _lock: ServerLock,
}

impl EmbeddedPostgres {
    /// Takes the directory's lock, creates the cluster on first use, starts it, and keeps it running,
    /// restarted if it dies, until [`stop`](Self::stop) or drop. Blocks until it accepts connections.
    ///
    /// Fails with [`AlreadyRunning`](EmbeddedPostgresError::AlreadyRunning) if a process holds the lock.
    pub fn start(data_dir: &Path, durability: Durability) -> Result<Self, EmbeddedPostgresError> {
        Self::start_unless(&Interrupt::default(), data_dir, durability)
    }

    /// The same, until `interrupt` is set. Fails with [`Interrupted`](EmbeddedPostgresError::Interrupted) then, soon, and
    /// with nothing left behind.
    pub fn start_unless(
        interrupt: &Interrupt,
        data_dir: &Path,
        durability: Durability,
    ) -> Result<Self, EmbeddedPostgresError> {
        let layout = Layout::create(data_dir)?;
        match ServerLock::attempt(&layout)? {
            LockAttempt::Taken(lock) => Self::run(&layout, lock, durability, None, interrupt),
            LockAttempt::HeldBy(pid) => Err(EmbeddedPostgresError::AlreadyRunning { pid, data_dir: layout.data_dir }),
        }
    }

    /// For operator commands: joins the cluster if a process runs it, else starts it, durably, for as
    /// long as this value lives. Blocks until it accepts connections.
    pub fn join_or_start(data_dir: &Path) -> Result<Self, EmbeddedPostgresError> {
        let layout = Layout::create(data_dir)?;
        let deadline = Instant::now() + JOIN_TIMEOUT;
        loop {
            let pid = match ServerLock::attempt(&layout)? {
                LockAttempt::Taken(lock) => {
                    let hosts = Some(layout.clone());
                    return Self::run(&layout, lock, Durability::Durable, hosts, &Interrupt::default());
                }
                LockAttempt::HeldBy(pid) => pid,
            };
            let is_late = Instant::now() >= deadline;
            let guest = GuestLock::shared(&layout)?;
            if let (Some(server), Some(guest)) = (PidFile::read_ready(&layout.pg_data()), guest) {
                match Self::join(&layout, &server, guest) {
                    Err(error) if is_passing(&error) && !is_late => {}
                    outcome => return outcome,
                }
            } else if is_late {
                return Err(EmbeddedPostgresError::NotJoinable { pid, log: layout.log(), data_dir: layout.data_dir });
            }
            thread::sleep(JOIN_INTERVAL);
        }
    }

    /// How to connect: as the superuser, to the database `halfhour`, through the private socket. The
    /// options stay valid over restarts of the server.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.connect_options.clone()
    }

    /// What is known of the programs that run and of an upgrade of them. `None` where another process runs them.
    pub fn programs(&self) -> Option<Programs> {
        self.running.as_ref().map(|running| running.programs.clone())
    }

    /// Ends the server and waits until it is gone: in good order within a few seconds, else ever more
    /// firmly. A cluster that was only joined keeps running; one that [`join_or_start`](Self::join_or_start)
    /// started ends after those who joined it since.
    pub fn stop(self) -> Result<(), EmbeddedPostgresError> {
        self.stop_by(Instant::now() + PATIENCE)
    }

    /// The same, so that the server is gone at that time, whatever that takes.
    pub fn stop_by(mut self, time: Instant) -> Result<(), EmbeddedPostgresError> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        // Held until the server is gone, so that nobody joins what is ending.
        let _alone = running.hosts.as_ref().and_then(wait_for_guests);
        running.supervisor.stop_by(time)
    }

    fn run(
        layout: &Layout,
        lock: ServerLock,
        durability: Durability,
        hosts: Option<Layout>,
        interrupt: &Interrupt,
    ) -> Result<Self, EmbeddedPostgresError> {
        layout.remove_unfinished()?;
        let version = layout.cluster_version()?;
        let installation = binaries::find(layout, version.as_deref(), interrupt)?;
        let launcher = Launcher::find(layout, &installation)?;
        let password = if version.is_some() {
            launcher.give_if_roots(&layout.pg_data())?;
            layout.read_password()?
        } else {
            let password = layout.create_password()?;
            cluster::create(layout, &installation, &launcher, durability, &password, interrupt)?;
            password
        };
        let cluster = Cluster {
            socket_dir: socket_dir::choose(layout, &launcher)?,
            layout: layout.clone(),
            installation,
            launcher,
            durability,
            password: password.clone(),
        };
        let programs = Programs::default();
        let (supervisor, socket_dir) = Supervisor::start(cluster, programs.clone(), interrupt)?;
        let started = Self {
            data_dir: layout.data_dir.clone(),
            connect_options: connect_options(&socket_dir, socket_dir::PORT, &password),
            running: Some(Running { supervisor, programs, hosts, _lock: lock }),
            _guest: None,
        };
        ensure_database(&started.connect_options, layout, interrupt)?;
        Ok(started)
    }

    fn join(layout: &Layout, server: &PidFile, guest: GuestLock) -> Result<Self, EmbeddedPostgresError> {
        let password = layout.read_password()?;
        let connect_options = connect_options(&server.socket_dir, server.port, &password);
        ensure_database(&connect_options, layout, &Interrupt::default())?;
        Ok(Self { data_dir: layout.data_dir.clone(), connect_options, running: None, _guest: Some(guest) })
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && let Err(error) = running.supervisor.stop_by(Instant::now() + PATIENCE)
        {
            tracing::warn!(%error, "the private PostgreSQL could not be ended cleanly");
        }
    }
}

/// The password is left out.
impl fmt::Debug for EmbeddedPostgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EmbeddedPostgres")
            .field("data_dir", &self.data_dir)
            .field("joined", &self.running.is_none())
            .finish_non_exhaustive()
    }
}

/// Waits until nobody is joined, and keeps others from joining. `None` if that takes too long or cannot be known.
fn wait_for_guests(layout: &Layout) -> Option<GuestLock> {
    let deadline = Instant::now() + GUEST_PATIENCE;
    loop {
        match GuestLock::alone(layout) {
            Ok(Some(alone)) => return Some(alone),
            Ok(None) if Instant::now() < deadline => thread::sleep(JOIN_INTERVAL),
            Ok(None) => return None,
            Err(error) => {
                tracing::warn!(%error, "whether other commands use the private PostgreSQL cannot be known");
                return None;
            }
        }
    }
}
