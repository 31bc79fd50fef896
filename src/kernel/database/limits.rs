//! How long a transaction and its statements may take: on PostgreSQL's side, and a little longer on this one.
//!
//! PostgreSQL's word comes first, because it leaves the connection usable. Whoever says nothing even then is not there.

use std::time::{Duration, Instant};

use super::failure::GaveUp;
use crate::kernel::call::RequestContext;

/// How much later than PostgreSQL this side gives up.
const GRACE: Duration = Duration::from_millis(400);
/// Undoing may take this long, and so may a commit that begins late.
pub(super) const LEAST: Duration = Duration::from_secs(1);

/// The limits of one transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// PostgreSQL's, for one statement.
    statement: Duration,
    /// This side's, for the whole transaction.
    give_up_at: Instant,
}

/// One wait for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    limit: Duration,
    /// A silence of so long says that nobody is there.
    telling: Duration,
}

impl Patience {
    /// Of a transaction that opens now for this call.
    pub(super) fn of(context: &RequestContext) -> Self {
        let remaining = context.remaining();
        // A little before the caller's own deadline.
        let share = |time: Duration| time / 20 * 19;
        let statement = share(context.statement_limit.map_or(remaining, |limit| limit.min(remaining)));
        Self { statement, give_up_at: Instant::now() + share(remaining) + GRACE }
    }

    /// `statement_timeout`, in milliseconds. A zero would mean "no limit".
    pub(super) fn statement_timeout_ms(&self) -> u128 {
        self.statement.as_millis().clamp(1, 3_600_000)
    }

    /// For a statement that begins now.
    pub(super) fn for_statement(&self) -> Wait {
        let left = self.give_up_at.saturating_duration_since(Instant::now());
        Wait { limit: left.min(self.statement + GRACE), telling: self.statement + GRACE / 2 }
    }

    /// For a commit that begins now: to give up in the middle of one leaves open what happened.
    pub(super) fn for_commit(&self) -> Wait {
        let Wait { limit, telling } = self.for_statement();
        Wait { limit: limit.max(LEAST), telling }
    }

    /// For undoing, which takes PostgreSQL no time.
    pub(super) const fn for_undoing() -> Wait {
        Wait { limit: LEAST, telling: LEAST }
    }
}

impl Wait {
    /// How long.
    pub(super) const fn limit(&self) -> Duration {
        self.limit
    }

    /// What it means that nothing came for so long.
    pub(super) fn given_up_after(&self, waited: Duration) -> GaveUp {
        if waited >= self.telling { GaveUp::Silent(waited) } else { GaveUp::Overdue }
    }
}

/// What PostgreSQL answers outside of a transaction. Errors: its own; nothing came for so long.
pub(super) async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| Err(GaveUp::Silent(limit).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(remaining: Duration, statement_limit: Option<Duration>) -> Patience {
        Patience::of(&RequestContext { statement_limit, ..RequestContext::internal(remaining) })
    }

    #[test]
    fn postgresql_gives_up_before_this_side_and_both_before_a_request_of_ten_seconds_does() {
        let limits = limits(Duration::from_secs(10), None);
        let wait = limits.for_statement();
        let server = Duration::from_millis(u64::try_from(limits.statement_timeout_ms()).unwrap());
        assert!((Duration::from_millis(9_490)..=Duration::from_millis(9_500)).contains(&server), "{server:?}");
        assert!(wait.limit() > server + GRACE / 2 && wait.limit() < Duration::from_millis(9_901), "{wait:?}");
        assert!(matches!(wait.given_up_after(wait.limit()), GaveUp::Silent(_)));
        assert_eq!(wait.given_up_after(server), GaveUp::Overdue);
    }

    #[test]
    fn a_statement_that_begins_late_is_overdue_and_no_silence() {
        let limits =
            Patience { statement: Duration::from_secs(9), give_up_at: Instant::now() + Duration::from_secs(3) };
        let wait = limits.for_statement();
        assert!(wait.limit() <= Duration::from_secs(3), "{wait:?}");
        assert_eq!(wait.given_up_after(wait.limit()), GaveUp::Overdue);
        let late = Patience { give_up_at: Instant::now(), ..limits };
        assert_eq!((late.for_statement().limit(), late.for_commit().limit()), (Duration::ZERO, LEAST));
    }

    #[test]
    fn statements_of_a_long_transaction_have_limits_of_their_own() {
        let limits = limits(Duration::from_mins(2), Some(Duration::from_secs(30)));
        assert!((28_400..=28_500).contains(&limits.statement_timeout_ms()), "{limits:?}");
        assert_eq!(limits.for_statement().limit(), limits.statement + GRACE);
        let short = self::limits(Duration::from_secs(2), Some(Duration::from_secs(30)));
        assert!(short.statement_timeout_ms() <= 1_900, "{short:?}");
    }

    #[test]
    fn a_spent_deadline_never_means_no_timeout() {
        assert_eq!(limits(Duration::ZERO, None).statement_timeout_ms(), 1);
    }

    #[tokio::test]
    async fn what_is_asked_outside_of_transactions_ends_in_time_and_says_that_nothing_came() {
        let never = std::future::pending::<Result<(), sqlx::Error>>();
        let error = in_time(Duration::from_millis(5), never).await.unwrap_err();
        assert!(error.to_string().contains("PostgreSQL said nothing for 5 ms"), "{error}");
        assert_eq!(in_time(Duration::from_millis(5), std::future::ready(Ok(7))).await.unwrap(), 7);
    }
}
