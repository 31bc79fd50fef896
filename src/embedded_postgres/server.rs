//! The server's process: whether it runs, whether it is ready, and how it is ended.

use super::error::EmbeddedPostgresError;
use super::pid_file::{self, PidFile};
use super::stop::StopAsked;
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How often something that should happen any moment is looked at.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The ways to end a server, from the kindest. Fast ends sessions and writes a checkpoint; immediate
/// leaves recovery to the next start, and loses nothing either.
const ENDINGS: [(Signal, &str, Duration); 3] = [
    (Signal::INT, "fast", Duration::from_secs(5)),
    (Signal::QUIT, "immediate", Duration::from_secs(6)),
    (Signal::KILL, "by force", Duration::from_secs(5)),
];

/// The server process.
pub(super) enum Server {
    Child(Child),
    /// Started by a process that is gone. It can be watched and signalled, but not waited for.
    Adopted(Pid),
}

/// What became of waiting for a server.
pub(super) enum Waited {
    Ready,
    /// It ended before, in this way.
    Ended(String),
    TooLate,
    StopAsked,
}

impl Server {
    pub(super) fn pid(&self) -> Pid {
        match self {
            Self::Child(child) => Pid::from_child(child),
            Self::Adopted(pid) => *pid,
        }
    }

    /// How it ended, if it did.
    pub(super) fn ending(&mut self, pg_data: &Path) -> Option<String> {
        match self {
            Self::Child(child) => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(format!("ended ({status})")),
                Err(error) => Some(format!("cannot be watched ({error})")),
            },
            Self::Adopted(pid) => (!pid_file::serves(*pid, pg_data)).then(|| "ended".to_owned()),
        }
    }

    /// Waits until it accepts connections. A server that does not is left to the caller.
    pub(super) fn ready_within(&mut self, pg_data: &Path, limit: Duration, stop: &StopAsked) -> Waited {
        let began = Instant::now();
        loop {
            if let Some(ending) = self.ending(pg_data) {
                return Waited::Ended(ending);
            }
            let own = PidFile::read(pg_data).filter(|file| file.pid == self.pid());
            if own.is_some_and(|file| file.ready) {
                return Waited::Ready;
            }
            if began.elapsed() >= limit {
                return Waited::TooLate;
            }
            if stop.within(POLL_INTERVAL) {
                return Waited::StopAsked;
            }
        }
    }

    /// Ends the server, ever more firmly.
    pub(super) fn shut_down(mut self, pg_data: &Path) -> Result<(), EmbeddedPostgresError> {
        for (signal, manner, patience) in ENDINGS {
            if self.ending(pg_data).is_some() {
                return Ok(());
            }
            let asked = Instant::now();
            if let Err(error) = kill_process(self.pid(), signal) {
                tracing::warn!(%error, manner, "the private PostgreSQL could not be asked to end");
            }
            while asked.elapsed() < patience {
                if self.ending(pg_data).is_some() {
                    pid_file::end_orphans(pg_data);
                    return Ok(());
                }
                thread::sleep(POLL_INTERVAL);
            }
            tracing::warn!(manner, "the private PostgreSQL did not end in time");
        }
        Err(EmbeddedPostgresError::NotStopped { pid: self.pid().as_raw_nonzero().get().unsigned_abs() })
    }
}
