//! When a pool stops asking a database that does not answer. [Why it is
//! ours](../../../docs/decisions/0034-a-database-that-says-nothing.md).
//!
//! A state machine without a clock: whoever drives it says what time it is.

use std::time::{Duration, Instant};

/// So many failures in a row open it. Anything that PostgreSQL answers in between begins the count anew.
const THRESHOLD: u32 = 5;
/// It stays open for so long at most; then one caller tries.
const LONGEST_OPEN: Duration = Duration::from_secs(30);
/// Whoever tries has so long. Then somebody else may try, because the first may have gone away.
const TRIAL: Duration = Duration::from_secs(2);

/// Whether callers may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// They may.
    Closed,
    /// They are refused at once.
    Open,
    /// One of them tries, the others are refused.
    HalfOpen,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// As metrics and the status spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The breaker of one pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker(State);

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { until: Instant },
}

impl Default for Breaker {
    fn default() -> Self {
        Self(State::Closed { failures: 0 })
    }
}

impl Breaker {
    /// Whether a caller may ask now.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.0 {
            State::Closed { .. } => true,
            State::Open { until } | State::HalfOpen { until } if now < until => false,
            State::Open { .. } | State::HalfOpen { .. } => {
                self.0 = State::HalfOpen { until: now + TRIAL };
                true
            }
        }
    }

    /// PostgreSQL answered, whoever asked.
    pub(super) const fn answered(&mut self) {
        self.0 = State::Closed { failures: 0 };
    }

    /// There was no connection to be had, or one said nothing. True where that opens a breaker that was closed.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        match self.0 {
            State::Closed { failures } if failures + 1 < THRESHOLD => {
                self.0 = State::Closed { failures: failures + 1 };
                false
            }
            State::Closed { .. } => {
                self.0 = State::Open { until: now + LONGEST_OPEN };
                true
            }
            State::HalfOpen { .. } => {
                self.0 = State::Open { until: now + LONGEST_OPEN };
                false
            }
            State::Open { .. } => false,
        }
    }

    /// What it is in.
    pub(super) const fn state(&self) -> BreakerState {
        match self.0 {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Event {
        Asks,
        Answers,
        Fails,
    }

    /// What happened, each with its time; of a question, whether it was admitted.
    type History = Vec<(Instant, Event, bool)>;

    /// Whether a caller may ask now, told from the whole history and no state.
    fn expected(history: &History, now: Instant) -> bool {
        let since = history.iter().rposition(|(_, event, _)| matches!(event, Event::Answers)).map_or(0, |at| at + 1);
        let since = &history[since..];
        let failures = since.iter().enumerate().filter(|(_, (_, event, _))| matches!(event, Event::Fails));
        let Some((fifth, (opened_at, ..))) = failures.take(5).nth(4) else { return true };
        let mut closed_until = *opened_at + LONGEST_OPEN;
        let mut on_trial = false;
        for (at, event, admitted) in &since[fifth + 1..] {
            match event {
                Event::Asks if *admitted => (closed_until, on_trial) = (*at + TRIAL, true),
                Event::Fails if on_trial => (closed_until, on_trial) = (*at + LONGEST_OPEN, false),
                _ => {}
            }
        }
        now >= closed_until
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
        let event = prop_oneof![3 => Just(Event::Asks), 1 => Just(Event::Answers), 6 => Just(Event::Fails)];
        let pause = prop_oneof![3 => 0..3_u64, 2 => 0..2_500_u64, 1 => 0..40_000_u64];
        prop::collection::vec((pause, event), 0..120)
    }

    proptest! {
        #[test]
        fn it_admits_exactly_whom_the_history_of_answers_and_failures_admits(events in events()) {
            let (mut breaker, mut now, mut history) = (Breaker::default(), Instant::now(), History::new());
            for (pause, event) in events {
                now += Duration::from_millis(pause);
                let admitted = match event {
                    Event::Asks => {
                        let admitted = breaker.admits(now);
                        prop_assert_eq!(admitted, expected(&history, now), "{:?}", history);
                        admitted
                    }
                    Event::Answers => {
                        breaker.answered();
                        prop_assert_eq!(breaker.state(), BreakerState::Closed);
                        true
                    }
                    Event::Fails => {
                        let was_closed = breaker.state() == BreakerState::Closed;
                        let opened = breaker.failed(now);
                        prop_assert_eq!(opened, was_closed && breaker.state() != BreakerState::Closed);
                        true
                    }
                };
                history.push((now, event, admitted));
            }
        }

        #[test]
        fn nobody_is_kept_out_for_longer_than_half_a_minute_whatever_happens(events in events()) {
            let (mut breaker, mut now) = (Breaker::default(), Instant::now());
            for (pause, event) in events {
                now += Duration::from_millis(pause);
                match event {
                    Event::Asks => drop(breaker.admits(now)),
                    Event::Answers => breaker.answered(),
                    Event::Fails => drop(breaker.failed(now)),
                }
                let mut later = breaker;
                prop_assert!(later.admits(now + LONGEST_OPEN));
            }
        }
    }

    #[test]
    fn four_failures_change_nothing_and_an_answer_begins_the_count_anew() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..3 {
            for _ in 0..4 {
                assert!(!breaker.failed(now) && breaker.admits(now));
            }
            breaker.answered();
        }
        for _ in 0..4 {
            assert!(!breaker.failed(now));
        }
        assert!(breaker.failed(now) && !breaker.admits(now));
        assert!(!breaker.failed(now), "it opens once");
    }

    #[test]
    fn one_caller_tries_and_the_others_are_refused_until_it_has_failed_or_gone_away() {
        let (mut breaker, opened_at) = (Breaker::default(), Instant::now());
        for _ in 0..5 {
            breaker.failed(opened_at);
        }
        let due = opened_at + LONGEST_OPEN;
        assert!(!breaker.admits(opened_at + LONGEST_OPEN.mul_f64(0.999)));
        assert!(breaker.admits(due) && !breaker.admits(due), "one");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.admits(due + TRIAL), "the first went away");
        breaker.failed(due + TRIAL);
        assert!(!breaker.admits(due + TRIAL + TRIAL));
        assert!(breaker.admits(due + TRIAL + LONGEST_OPEN));
        breaker.answered();
        assert!(breaker.admits(due) && breaker.admits(due));
    }
}
