//! How much of a pool's work may be work that is begun again, so that retries never double a load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// One retry for so many transactions.
const PRICE: u32 = 5;
/// As many retries may come together, after a quiet time or at the start.
const TOGETHER: u32 = 10;

/// A purse that every transaction puts a coin into. A retry takes several out. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct RetryBudget(Arc<AtomicU32>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(TOGETHER * PRICE)))
    }
}

impl RetryBudget {
    /// A transaction begins.
    pub(super) fn worked(&self) {
        let more = |coins: u32| (coins < TOGETHER * PRICE).then_some(coins + 1);
        // A purse that is full stays so.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// Whether something may be begun again; then it is paid for.
    pub(super) fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |coins| coins.checked_sub(PRICE)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_retries_may_come_together_and_then_every_fifth_transaction_pays_for_one() {
        let budget = RetryBudget::default();
        budget.worked();
        assert_eq!((0..20).filter(|_| budget.take()).count(), 10);
        let paid = (0..50).filter(|_| {
            budget.worked();
            budget.take()
        });
        assert_eq!(paid.count(), 10);
    }

    proptest! {
        #[test]
        fn retries_are_at_most_a_fifth_of_the_transactions_beside_the_first_ten(
            works in prop::collection::vec(any::<bool>(), 0..500),
        ) {
            let (budget, mut worked, mut retried) = (RetryBudget::default(), 0, 0);
            for works in works {
                if works {
                    budget.worked();
                    worked += 1;
                } else {
                    retried += u32::from(budget.take());
                }
                prop_assert!(retried <= TOGETHER + worked / PRICE);
            }
        }
    }
}
