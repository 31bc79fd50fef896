//! How much the door takes on, and for how long it waits.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::kernel::call::Threads;

/// Connections at once, where the process may open as many files.
const MOST_CONNECTIONS: usize = 10_000;
/// Connections beside those, for probes and for refusals that can be read.
const RESERVE: usize = 32;
/// Files that are open beside connections and those of the pools: logs, locks, pipes, the listener itself.
const OTHER_FILES: usize = 48;
/// What each thread that serves has open to hear of its connections, timers and signals.
const FILES_OF_A_THREAD: usize = 4;

/// What clients may take up.
#[derive(Clone, Copy, Debug)]
pub struct DoorLimits {
    /// So many connections are served at once.
    pub connections: usize,
    /// So many more are accepted. Only probes are answered there, and everybody else is refused.
    pub reserve: usize,
    /// The head of a request has to be there after this time, and a new connection has to begin one.
    pub head: Duration,
    /// The same on a connection of the reserve.
    pub reserve_head: Duration,
    /// Between two requests a connection may be idle for this long.
    pub idle: Duration,
    /// Who reads next to nothing of an answer for this long gets no more of it.
    pub unread: Duration,
    /// Once the server is told to stop, open requests may take this long.
    pub drain: Duration,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections: MOST_CONNECTIONS,
            reserve: RESERVE,
            head: Duration::from_secs(10),
            reserve_head: Duration::from_secs(2),
            idle: Duration::from_mins(1),
            unread: Duration::from_secs(30),
            drain: Duration::from_secs(5),
        }
    }
}

impl DoorLimits {
    /// As many connections as this process may open files for, beside `database_connections`. Its limit is raised as far
    /// as anybody may raise it.
    pub fn of_this_process(database_connections: u32) -> Self {
        let database = usize::try_from(database_connections).unwrap_or(usize::MAX / 2);
        let others = OTHER_FILES + RESERVE + FILES_OF_A_THREAD * Threads::for_processors().get() + database;
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let needed = u64::try_from(MOST_CONNECTIONS + others).ok();
        let raised = needed.map(|needed| maximum.map_or(needed, |maximum| needed.min(maximum)));
        let is_higher = raised.zip(current).is_some_and(|(raised, current)| raised > current);
        let limit = if is_higher && setrlimit(Resource::Nofile, Rlimit { current: raised, maximum }).is_ok() {
            raised
        } else {
            current
        };
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
        Self { connections: Self::beside(limit, others), ..Self::default() }
    }

    /// Of so many files, those that are left. A server that may open next to none serves one connection at a time.
    fn beside(files: usize, others: usize) -> usize {
        files.saturating_sub(others).clamp(1, MOST_CONNECTIONS)
    }

    /// Those of a connection in the reserve.
    #[must_use]
    pub fn in_reserve(self) -> Self {
        Self { head: self.reserve_head, idle: self.reserve_head, ..self }
    }
}

/// Why a connection was ended before its client did so.
#[derive(Clone, Copy, Debug)]
pub enum TimedOut {
    /// A head did not come to its end.
    Head,
    /// Nothing came.
    Idle,
    /// It was idle, and somebody else needed the place.
    Evicted,
    /// An answer was not read.
    Unread,
}

impl TimedOut {
    /// Counts it.
    pub fn count(self) {
        let reason = match self {
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Unread => "unread",
        };
        metrics::counter!("halfhour_connections_timed_out_total", "reason" => reason).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_what_is_left_of_the_files_and_never_none() {
        let others = OTHER_FILES + RESERVE + 13;
        for (files, connections) in
            [(0, 1), (others, 1), (others + 1, 1), (256, 256 - others), (1 << 20, MOST_CONNECTIONS)]
        {
            assert_eq!(DoorLimits::beside(files, others), connections, "{files}");
        }
        let ours = DoorLimits::of_this_process(13).connections;
        assert!((1..=MOST_CONNECTIONS).contains(&ours), "{ours}");
    }
}
