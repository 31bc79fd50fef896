//! The clock of one process.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::follower::{Follower, Jump, Measurement};
use super::reading::{Reading, steady_us, wall};

/// Stamps of a burst may be so far ahead of the time, in microseconds: each is one later than the last.
const BURST_US: i64 = 50_000;

/// A cheap handle on one clock; clones share it.
///
/// All instants have microsecond precision, as PostgreSQL's do.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    /// Database time minus steady time, in microseconds.
    offset_us: AtomicI64,
    /// The same by another idea of the time; equal where there is none.
    other_offset_us: AtomicI64,
    error_us: AtomicI64,
    last_stamp_us: AtomicI64,
    last_change_us: AtomicI64,
    follower: Mutex<Follower>,
}

/// Where time comes from.
enum Source {
    /// In microseconds.
    Fixed(AtomicI64),
    System,
    /// Clocks of a machine that a test makes up.
    Machine(Box<dyn Fn() -> Reading + Send + Sync>),
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(at) => write!(formatter, "Fixed({})", at.load(Ordering::Relaxed)),
            Self::System => formatter.write_str("System"),
            Self::Machine(_) => formatter.write_str("Machine"),
        }
    }
}

impl Clock {
    /// The machine's clocks, corrected by [`Clock::follow_database`].
    pub fn system() -> Self {
        Self::new(Source::System, Reading::now())
    }

    /// The clocks of a machine that are read so: for tests.
    pub fn of_machine(read: impl Fn() -> Reading + Send + Sync + 'static) -> Self {
        let reading = read();
        Self::new(Source::Machine(Box::new(read)), reading)
    }

    /// A clock that stands still until [`Clock::set`]: for tests.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        let at_us = at.timestamp_micros();
        Self::new(Source::Fixed(AtomicI64::new(at_us)), Reading { steady_us: at_us, running_us: at_us, wall_us: at_us })
    }

    fn new(source: Source, reading: Reading) -> Self {
        let follower = Follower::new(reading);
        Self(Arc::new(Inner {
            source,
            offset_us: AtomicI64::new(follower.offset_us()),
            other_offset_us: AtomicI64::new(follower.offset_us()),
            error_us: AtomicI64::new(0),
            last_stamp_us: AtomicI64::new(i64::MIN),
            last_change_us: AtomicI64::new(i64::MIN),
            follower: Mutex::new(follower),
        }))
    }

    /// The present, by the database's clock.
    pub fn now(&self) -> DateTime<Utc> {
        from_micros(self.now_us())
    }

    /// The latest time that some may rightly go by: later than [`Clock::now`] only for a while after a jump. Nobody is
    /// refused for a time up to this one.
    pub fn latest(&self) -> DateTime<Utc> {
        let steady_us = self.steady_us();
        from_micros(self.now_from(steady_us).max(self.other_from(steady_us)))
    }

    /// The earliest time that some may rightly go by: earlier than [`Clock::now`] only for a while after a jump. Nothing
    /// is removed or refused for its age before this one says so.
    pub fn earliest(&self) -> DateTime<Utc> {
        let steady_us = self.steady_us();
        from_micros(self.now_from(steady_us).min(self.other_from(steady_us)))
    }

    /// The arrival time of one entry: the present, but later than every stamp before it in this process.
    ///
    /// It is never ahead of the database's clock by more than [`Clock::error_us`] and what a burst takes. Where that clock
    /// goes back, stamps go back with it.
    pub fn stamp(&self) -> DateTime<Utc> {
        let now = self.now_us();
        // The present itself may be ahead by the error.
        let limit = now.saturating_add(BURST_US);
        let next = |last: i64| if last < limit { now.max(last.saturating_add(1)) } else { now };
        from_micros(advance(&self.0.last_stamp_us, next))
    }

    /// The time of one change: the present, but later than every such time before it in this process, whatever clocks do.
    /// It tells what one statement changed from what others did.
    pub fn change_time(&self) -> DateTime<Utc> {
        let now = self.now_us();
        from_micros(advance(&self.0.last_change_us, |last| now.max(last.saturating_add(1))))
    }

    /// Moves a fixed clock; another one is left alone.
    pub fn set(&self, at: DateTime<Utc>) {
        if let Source::Fixed(fixed) = &self.0.source {
            fixed.store(at.timestamp_micros(), Ordering::Relaxed);
        }
    }

    /// What the machine's clocks say now.
    pub fn read_machine(&self) -> Reading {
        match &self.0.source {
            Source::Fixed(at) => {
                let at_us = at.load(Ordering::Relaxed);
                Reading { steady_us: at_us, running_us: at_us, wall_us: at_us }
            }
            Source::System => Reading::now(),
            Source::Machine(read) => read(),
        }
    }

    /// Takes in what the database's clock was found to be. Returns a jump of it that is new.
    pub fn follow_database(&self, measurement: &Measurement) -> Option<Jump> {
        self.follow(|follower| follower.measure(measurement)).flatten()
    }

    /// Looks at the machine's own clocks. Returns the jumps since the last look.
    pub fn watch_machine(&self) -> impl Iterator<Item = Jump> {
        let reading = self.read_machine();
        self.follow(|follower| follower.look(reading)).into_iter().flatten().flatten()
    }

    /// `None` for a fixed clock, which follows nobody.
    fn follow<T>(&self, change: impl FnOnce(&mut Follower) -> T) -> Option<T> {
        if let Source::Fixed(_) = &self.0.source {
            return None;
        }
        let mut follower = self.0.follower.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut follower);
        self.0.offset_us.store(follower.offset_us(), Ordering::Relaxed);
        self.0.other_offset_us.store(follower.other_offset_us(), Ordering::Relaxed);
        self.0.error_us.store(follower.error_us(), Ordering::Relaxed);
        Some(result)
    }

    /// Database time minus the time of this machine's clock, in microseconds.
    pub fn offset_us(&self) -> i64 {
        let Reading { steady_us, wall_us, .. } = self.read_machine();
        self.now_from(steady_us).saturating_sub(wall_us)
    }

    /// By how much [`Clock::now`] may be wrong, in microseconds, as it was last measured.
    pub fn error_us(&self) -> i64 {
        self.0.error_us.load(Ordering::Relaxed)
    }

    /// The machine's own clock, uncorrected: only for stamping log lines.
    pub fn machine_now() -> DateTime<Utc> {
        wall()
    }

    fn now_us(&self) -> i64 {
        self.now_from(self.steady_us())
    }

    /// The steady clock alone, which is all that most callers need.
    fn steady_us(&self) -> i64 {
        match &self.0.source {
            Source::Fixed(at) => at.load(Ordering::Relaxed),
            Source::System => steady_us(),
            Source::Machine(read) => read().steady_us,
        }
    }

    fn now_from(&self, steady_us: i64) -> i64 {
        steady_us.saturating_add(self.0.offset_us.load(Ordering::Relaxed))
    }

    fn other_from(&self, steady_us: i64) -> i64 {
        steady_us.saturating_add(self.0.other_offset_us.load(Ordering::Relaxed))
    }
}

/// Puts the next one in the place of the last, and returns it.
fn advance(last: &AtomicI64, next: impl Fn(i64) -> i64) -> i64 {
    let before = last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    next(before.unwrap_or_else(|last| last))
}

fn from_micros(us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(us).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(us: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(us).unwrap()
    }

    #[test]
    fn stamps_of_one_process_do_not_repeat_when_time_stands_still_or_is_a_little_back() {
        let clock = Clock::fixed(instant(1_000));
        assert_eq!(clock.stamp(), instant(1_000));
        assert_eq!(clock.stamp(), instant(1_001));
        clock.set(instant(500));
        assert_eq!(clock.stamp(), instant(1_002));
        clock.set(instant(9_000));
        assert_eq!(clock.stamp(), instant(9_000));
    }

    #[test]
    fn stamps_go_back_with_a_clock_that_jumps_back_and_times_of_changes_never_do() {
        let clock = Clock::fixed(instant(3_600_000_000));
        assert_eq!((clock.stamp(), clock.change_time()), (instant(3_600_000_000), instant(3_600_000_000)));
        clock.set(instant(1_000));
        assert_eq!((clock.stamp(), clock.stamp()), (instant(1_000), instant(1_001)));
        assert_eq!((clock.change_time(), clock.change_time()), (instant(3_600_000_001), instant(3_600_000_002)));
    }

    #[test]
    fn stamps_and_changes_of_many_threads_are_all_different() {
        let clock = Clock::fixed(instant(0));
        for take in [Clock::stamp, Clock::change_time] {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let clock = clock.clone();
                    std::thread::spawn(move || (0..1_000).map(|_| take(&clock)).collect::<Vec<_>>())
                })
                .collect();
            let mut taken: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            taken.sort();
            taken.dedup();
            assert_eq!(taken.len(), 4_000);
        }
    }

    #[test]
    fn the_present_follows_the_databases_clock() {
        let clock = Clock::system();
        let reading = clock.read_machine();
        let database_us = reading.wall_us + 3 * 3_600_000_000;
        assert_eq!(clock.follow_database(&Measurement { before: reading, database_us, after: reading }), None);
        assert!(clock.now() - Clock::machine_now() > chrono::TimeDelta::minutes(179));
        assert!((clock.offset_us() - 3 * 3_600_000_000).abs() < 1_000_000);
    }
}
