//! Time, passed in. A [`Clock`] follows the database's clock, and the arrival stamps it gives never
//! repeat.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

/// A cheap handle on one clock; clones share it.
///
/// All instants have microsecond precision, as PostgreSQL's do.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None` for the machine's clock, else the fixed time in microseconds.
    fixed_us: Option<AtomicI64>,
    /// Database time minus machine time, in microseconds.
    offset_us: AtomicI64,
    last_stamp_us: AtomicI64,
}

impl Clock {
    /// The machine's clock, corrected by [`Clock::follow_database`].
    pub fn system() -> Self {
        Self::new(None)
    }

    /// A clock that stands still until [`Clock::set`]: for tests.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self::new(Some(AtomicI64::new(at.timestamp_micros())))
    }

    fn new(fixed_us: Option<AtomicI64>) -> Self {
        Self(Arc::new(Inner { fixed_us, offset_us: AtomicI64::new(0), last_stamp_us: AtomicI64::new(i64::MIN) }))
    }

    /// The present, by the database's clock.
    pub fn now(&self) -> DateTime<Utc> {
        from_micros(self.now_us())
    }

    /// The arrival time of one entry: the present, but strictly later than every stamp before it in this process.
    pub fn stamp(&self) -> DateTime<Utc> {
        let now = self.now_us();
        let next = |last: i64| now.max(last.saturating_add(1));
        let last = self
            .0
            .last_stamp_us
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .unwrap_or_else(|last| last);
        from_micros(next(last))
    }

    /// Moves a fixed clock; a system clock is left alone.
    pub fn set(&self, at: DateTime<Utc>) {
        if let Some(fixed) = &self.0.fixed_us {
            fixed.store(at.timestamp_micros(), Ordering::Relaxed);
        }
    }

    /// Records that the database's clock read `database` while the machine's read between `before` and `after`.
    pub fn follow_database(&self, before: DateTime<Utc>, database: DateTime<Utc>, after: DateTime<Utc>) {
        let middle = i64::midpoint(before.timestamp_micros(), after.timestamp_micros());
        let offset = database.timestamp_micros().saturating_sub(middle);
        self.0.offset_us.store(offset, Ordering::Relaxed);
    }

    /// Database time minus machine time, in microseconds, as it was last measured.
    pub fn offset_us(&self) -> i64 {
        self.0.offset_us.load(Ordering::Relaxed)
    }

    /// The machine's own clock, uncorrected: only for measuring the offset and for stamping log lines.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    pub fn machine_now() -> DateTime<Utc> {
        Utc::now()
    }

    fn now_us(&self) -> i64 {
        match &self.0.fixed_us {
            Some(fixed) => fixed.load(Ordering::Relaxed),
            None => Self::machine_now().timestamp_micros().saturating_add(self.offset_us()),
        }
    }
}

/// Between half of a pause and all of it, so that what failed together does not come back together.
pub fn jittered(pause: Duration) -> Duration {
    let share = f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}

/// `first` doubled `times` times, but no more than `longest`.
pub fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(longest)
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
    fn stamps_of_one_process_never_repeat_even_when_time_stands_still_or_steps_back() {
        let clock = Clock::fixed(instant(1_000));
        assert_eq!(clock.stamp(), instant(1_000));
        assert_eq!(clock.stamp(), instant(1_001));
        clock.set(instant(500));
        assert_eq!(clock.stamp(), instant(1_002));
        clock.set(instant(9_000));
        assert_eq!(clock.stamp(), instant(9_000));
    }

    #[test]
    fn stamps_taken_by_many_threads_are_all_different() {
        let clock = Clock::fixed(instant(0));
        let take = |clock: Clock| (0..1_000).map(move |_| clock.stamp()).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn({
                    let clock = clock.clone();
                    move || take(clock)
                })
            })
            .collect();
        let mut stamps: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        stamps.sort();
        stamps.dedup();
        assert_eq!(stamps.len(), 4_000);
    }

    #[test]
    fn the_present_follows_the_databases_clock() {
        let clock = Clock::system();
        let machine = Clock::machine_now();
        clock.follow_database(machine, machine + chrono::TimeDelta::hours(3), machine);
        assert!(clock.now() - Clock::machine_now() > chrono::TimeDelta::minutes(179));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = |times| doubled(Duration::from_millis(100), times, Duration::from_secs(30)).as_millis();
        assert_eq!(
            [0, 1, 2, 8, 9, 31, 32, u32::MAX].map(pauses),
            [100, 200, 400, 25_600, 30_000, 30_000, 30_000, 30_000]
        );
    }

    #[test]
    fn jitter_keeps_at_least_half_of_a_pause_and_never_lengthens_it() {
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
        let whole = Duration::from_secs(1);
        for _ in 0..1_000 {
            let pause = jittered(whole);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?}");
        }
    }
}
