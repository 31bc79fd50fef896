//! How many exchanges of a link code may fail in this process, whoever makes them. An exchange
//! counts as failed until it has succeeded, so that many at once do not slip through.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::problem::{Code, Problem};

/// How many may fail within [`WINDOW`]. At this rate a code of 60 bits is not found in its 10
/// minutes.
pub const LIMIT: u32 = 100;
/// What the failures are counted over.
const WINDOW: Duration = Duration::from_mins(1);

/// The failures of the current window. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FailedExchanges(Arc<Mutex<Window>>);

#[derive(Debug, Default)]
struct Window {
    ends: Option<Instant>,
    failures: u32,
}

impl FailedExchanges {
    /// Counts an exchange as failed. Errors: 429 `rate_limited` when there were too many.
    pub fn begin(&self) -> Result<(), Problem> {
        self.begin_at(Instant::now())
    }

    /// The exchange did not fail.
    pub fn succeeded(&self) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        window.failures = window.failures.saturating_sub(1);
    }

    fn begin_at(&self, now: Instant) -> Result<(), Problem> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = match window.ends {
            Some(ends) if now < ends => ends,
            _ => {
                *window = Window { ends: Some(now + WINDOW), failures: 0 };
                now + WINDOW
            }
        };
        if window.failures >= LIMIT {
            let wait = ends.saturating_duration_since(now).as_secs() + 1;
            let detail = "Too many link codes were refused; nobody's are looked at for a moment.";
            return Err(Problem::new(Code::RateLimited, detail).retry_after(wait));
        }
        window.failures += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_failures_are_the_last_of_their_minute() {
        let (failed_exchanges, start) = (FailedExchanges::default(), Instant::now());
        assert!((0..LIMIT).all(|_| failed_exchanges.begin_at(start).is_ok()));
        let refused = failed_exchanges.begin_at(start + Duration::from_secs(20)).unwrap_err();
        assert_eq!((refused.code(), refused.retry_after_s()), (Code::RateLimited, Some(41)));
        assert!(failed_exchanges.clone().begin_at(start + WINDOW).is_ok(), "a new minute");
    }

    #[test]
    fn what_succeeds_does_not_count() {
        let (failed_exchanges, start) = (FailedExchanges::default(), Instant::now());
        for _ in 0..10 * LIMIT {
            failed_exchanges.begin_at(start).unwrap();
            failed_exchanges.succeeded();
        }
        failed_exchanges.succeeded();
        assert!((0..LIMIT).all(|_| failed_exchanges.begin_at(start).is_ok()));
        assert!(failed_exchanges.begin_at(start).is_err());
    }
}
