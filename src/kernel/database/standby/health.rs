//! What is known of the standby: whether to ask it, and how far it is behind.
//!
//! A state machine without a clock: whoever drives it says what time it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::fallback::Fallback;
use crate::kernel::database::breaker::{Breaker, BreakerState};

/// Places that are remembered until the standby has come so far: one a second for an hour. Of a longer lag only the age of
/// its beginning is known, which is what counts.
const REMEMBERED: usize = 3_600;

/// What is known of the standby.
#[derive(Debug)]
pub(super) struct StandbyHealth {
    /// What the last look came to, or a read that found out sooner.
    seen: Result<(), Fallback>,
    /// Opens where reads that were asked fail.
    breaker: Breaker,
    /// Why the last one of those failed.
    failed: Fallback,
    /// Places of the primary that the standby has not replayed, as far as is known, and when they were taken.
    to_replay: VecDeque<(u64, Instant)>,
    /// Whether anybody has found out how far it is.
    is_known: bool,
}

impl Default for StandbyHealth {
    fn default() -> Self {
        let (breaker, to_replay) = (Breaker::default(), VecDeque::new());
        Self { seen: Err(Fallback::NotSeen), breaker, failed: Fallback::Failed, to_replay, is_known: false }
    }
}

impl StandbyHealth {
    /// Whether a read may ask it now. Errors: why not.
    pub(super) fn admits(&mut self, now: Instant) -> Result<(), Fallback> {
        self.seen?;
        if self.breaker.admits(now) { Ok(()) } else { Err(self.failed) }
    }

    /// Whether reads may ask it, without one that asks.
    pub(super) const fn usable(&self) -> Result<(), Fallback> {
        match self.seen {
            Err(why_not) => Err(why_not),
            Ok(()) if matches!(self.breaker.state(), BreakerState::Closed) => Ok(()),
            Ok(()) => Err(self.failed),
        }
    }

    /// A read was answered.
    pub(super) const fn answered(&mut self) {
        self.breaker.answered();
    }

    /// A read was not answered. What a look sees as well keeps others away until the next good look; what only reads meet
    /// opens the breaker.
    pub(super) fn failed(&mut self, why: Fallback, now: Instant) {
        match why {
            _ if why.is_passing() => {}
            Fallback::Slow | Fallback::Failed => {
                self.failed = why;
                self.breaker.failed(now);
            }
            _ => self.seen = Err(why),
        }
    }

    /// Somebody looked. True where that changes whether reads may ask.
    pub(super) fn looked(&mut self, seen: Result<(), Fallback>) -> bool {
        if seen.is_err_and(Fallback::is_passing) {
            return false;
        }
        std::mem::replace(&mut self.seen, seen) != seen
    }

    /// The primary had come so far at `now`.
    pub(super) fn marked(&mut self, place: u64, now: Instant) {
        if self.to_replay.len() < REMEMBERED {
            self.to_replay.push_back((place, now));
        }
    }

    /// The standby has come so far.
    pub(super) fn replayed(&mut self, place: u64) {
        self.is_known = true;
        while self.to_replay.front().is_some_and(|(next, _)| *next <= place) {
            self.to_replay.pop_front();
        }
    }

    /// How long ago the primary was where the standby has not come to yet; `None` while nobody knows.
    pub(super) fn lag(&self, now: Instant) -> Option<Duration> {
        let oldest = self.to_replay.front().map(|(_, at)| now.saturating_duration_since(*at));
        oldest.or(self.is_known.then_some(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn nobody_asks_before_somebody_has_looked() {
        let (mut health, now) = (StandbyHealth::default(), Instant::now());
        assert_eq!(health.admits(now), Err(Fallback::NotSeen));
        assert!(!health.looked(Err(Fallback::Busy)), "busy says nothing");
        assert_eq!(health.admits(now), Err(Fallback::NotSeen));
        assert!(health.looked(Ok(())) && !health.looked(Ok(())));
        assert_eq!((health.admits(now), health.usable()), (Ok(()), Ok(())));
    }

    #[test]
    fn what_a_look_would_see_keeps_reads_away_until_a_good_look() {
        let now = Instant::now();
        for why in
            [Fallback::Behind, Fallback::Ahead, Fallback::Promoted, Fallback::Unreachable, Fallback::OtherDatabase]
        {
            let mut health = StandbyHealth::default();
            health.looked(Ok(()));
            health.failed(why, now);
            assert_eq!(health.admits(now + 60 * SECOND), Err(why));
            health.looked(Ok(()));
            assert_eq!(health.admits(now), Ok(()));
        }
    }

    #[test]
    fn five_slow_reads_keep_others_away_for_half_a_minute_however_good_it_looks_and_then_one_tries() {
        let (mut health, now) = (StandbyHealth::default(), Instant::now());
        health.looked(Ok(()));
        for _ in 0..5 {
            assert_eq!(health.admits(now), Ok(()));
            health.failed(Fallback::Slow, now);
        }
        health.looked(Ok(()));
        assert_eq!((health.admits(now + 29 * SECOND), health.usable()), (Err(Fallback::Slow), Err(Fallback::Slow)));
        assert_eq!(health.admits(now + 30 * SECOND), Ok(()), "one tries");
        assert_eq!(health.admits(now + 30 * SECOND), Err(Fallback::Slow));
        health.answered();
        assert_eq!(health.admits(now + 30 * SECOND), Ok(()));
    }

    #[test]
    fn what_is_over_with_the_read_keeps_nobody_away() {
        let (mut health, now) = (StandbyHealth::default(), Instant::now());
        health.looked(Ok(()));
        for why in [Fallback::Busy, Fallback::Conflict, Fallback::NoMark] {
            for _ in 0..10 {
                health.failed(why, now);
            }
            assert_eq!(health.admits(now), Ok(()), "{why:?}");
        }
    }

    #[test]
    fn the_lag_is_the_age_of_the_first_place_that_is_not_replayed() {
        let (mut health, begun) = (StandbyHealth::default(), Instant::now());
        assert_eq!(health.lag(begun), None);
        for second in 0..4 {
            health.marked(u64::from(second) * 100, begun + second * SECOND);
        }
        let now = begun + 4 * SECOND;
        assert_eq!(health.lag(now), Some(4 * SECOND), "nothing is known to be replayed");
        health.replayed(0);
        assert_eq!(health.lag(now), Some(3 * SECOND));
        health.replayed(250);
        assert_eq!(health.lag(now), Some(SECOND));
        health.replayed(299);
        assert_eq!(health.lag(now), Some(SECOND));
        health.replayed(300);
        assert_eq!(health.lag(now), Some(Duration::ZERO), "an idle primary makes no lag");
    }

    #[test]
    fn a_lag_of_days_needs_no_more_memory_and_keeps_its_beginning() {
        let (mut health, begun) = (StandbyHealth::default(), Instant::now());
        for second in 0..10_000 {
            health.marked(u64::from(second), begun + second * SECOND);
        }
        assert_eq!(health.to_replay.len(), REMEMBERED);
        assert_eq!(health.lag(begun + 10_000 * SECOND), Some(10_000 * SECOND));
    }
}
