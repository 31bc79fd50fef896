//! What the database answered to one request or worker step.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Why there is no answer from the database to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// No connection became free in time.
    PoolExhausted,
}

impl Evidence {
    /// As the log line spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PoolExhausted => "pool_exhausted",
        }
    }
}

/// What the database answered to one call, in HTTP terms: the last answer counts. That work was undone is none.
#[derive(Clone, Debug, Default)]
pub struct Upstream(Arc<Mutex<Answers>>);

/// A copy of the record at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// HTTP-like status of the last answer; `None` when the database was never heard.
    pub status: Option<u16>,
    /// Time spent waiting for the database.
    pub latency: Option<Duration>,
    /// Why there is no answer.
    pub evidence: Option<Evidence>,
    /// How often the work was begun again after a passing failure.
    pub retries: u32,
    /// `executed` or `replayed`, for a request with an Idempotency-Key.
    pub idempotency: Option<&'static str>,
}

impl Answers {
    fn waited(&mut self, latency: Duration) {
        self.latency = Some(self.latency.unwrap_or_default() + latency);
    }
}

impl Upstream {
    /// The database answered, or was overrun, after `latency`.
    pub fn answered(&self, status: u16, latency: Duration) {
        self.change(|answers| {
            answers.status = Some(status);
            answers.waited(latency);
        });
    }

    /// The database undid work, in `latency`: the call stays known by what it answered to that work.
    pub fn undone(&self, latency: Duration) {
        self.change(|answers| answers.waited(latency));
    }

    /// The database was not asked.
    pub fn not_asked(&self, evidence: Evidence) {
        self.change(|answers| {
            answers.status = None;
            answers.evidence = Some(evidence);
        });
    }

    /// The work is begun again.
    pub fn retried(&self) {
        self.change(|answers| answers.retries += 1);
    }

    /// What the Idempotency-Key led to.
    pub fn keyed(&self, outcome: &'static str) {
        self.change(|answers| answers.idempotency = Some(outcome));
    }

    /// Takes over what the database answered to work that was done on this call's behalf.
    pub fn take_over(&self, other: &Self) {
        let other = other.answers();
        self.change(|answers| {
            answers.status = other.status;
            answers.evidence = other.evidence;
            answers.retries += other.retries;
            if let Some(latency) = other.latency {
                answers.waited(latency);
            }
        });
    }

    /// What is known so far.
    pub fn answers(&self) -> Answers {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_counts_and_waiting_adds_up() {
        let upstream = Upstream::default();
        assert_eq!(upstream.answers(), Answers::default());
        upstream.answered(409, Duration::from_millis(2));
        upstream.clone().answered(200, Duration::from_millis(3));
        let answers = upstream.answers();
        assert_eq!((answers.status, answers.latency), (Some(200), Some(Duration::from_millis(5))));
        upstream.answered(503, Duration::from_millis(7));
        upstream.undone(Duration::from_millis(11));
        let answers = upstream.answers();
        assert_eq!((answers.status, answers.latency), (Some(503), Some(Duration::from_millis(23))));
    }
}
