//! What another price book changes of what usage would have cost, over all buckets of all users: for the plan of a reprice.
//! Days whose buckets retention has removed keep their rates, and are not in it.

mod store;

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::cost::{PricedSums, Rate, Rates, tokens};
use crate::kernel::database::Tx;
use crate::kernel::money::Cost;
use crate::kernel::problem::Problem;

/// What changes of a part of the usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repriced {
    /// What it cost in the former book.
    pub before: Cost,
    /// What it costs in the new book.
    pub after: Cost,
    /// Tokens that get a price and had none.
    pub newly_priced_tokens: u128,
    /// Tokens that had a price and lose it.
    pub newly_unpriced_tokens: u128,
    /// How many users have such usage.
    pub users: i64,
    /// On how many UTC days they have.
    pub user_days: i64,
}

/// Everything that changes, and by what is sold and the first day of the UTC month, ascending.
#[derive(Clone, Debug, Default)]
pub struct BookChange {
    /// All of it.
    pub totals: Repriced,
    /// Its parts.
    pub parts: BTreeMap<(String, NaiveDate), Repriced>,
}

/// Compares two books over all buckets; `None` for no book. Reads every bucket. Errors: the database's.
pub async fn compare_books(tx: &mut Tx, former: Option<i32>, book: i32) -> Result<BookChange, Problem> {
    let changes = store::rate_changes(tx, former, book).await?;
    let ids = changes.iter().flat_map(|change| [change.former_rate_id, change.rate_id]);
    let rates = Rates::default().among(tx, ids).await?;
    let mut found = BookChange::default();
    for change in changes {
        let [former, rate] = [change.former_rate_id, change.rate_id].map(|id| rates.get(&id).map(AsRef::as_ref));
        let part = found.parts.entry((change.sku, change.month)).or_default();
        for (repriced, reach) in [(part, change.reach), (&mut found.totals, change.whole_reach)] {
            repriced.add(&change.sums, former, rate);
            (repriced.users, repriced.user_days) = reach;
        }
    }
    Ok(found)
}

impl Repriced {
    fn add(&mut self, sums: &super::sums::Counters, former: Option<&Rate>, rate: Option<&Rate>) {
        self.before = self.before + PricedSums::at(*sums, former).cost;
        self.after = self.after + PricedSums::at(*sums, rate).cost;
        let has_price = |rate: Option<&Rate>| rate.map(Rate::prices).unwrap_or_default().map(|price| price.is_some());
        for ((had, has), tokens) in has_price(former).into_iter().zip(has_price(rate)).zip(tokens(sums)) {
            match (had, has) {
                (false, true) => self.newly_priced_tokens += tokens,
                (true, false) => self.newly_unpriced_tokens += tokens,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::dashboard_rollup::sums::Counters;

    fn rate(input: Option<u64>, output: Option<u64>) -> Rate {
        let prices = [input, None, None, None, output];
        let [sku, tier, evidence] = ["a/b", "short", "page"].map(str::to_owned);
        Rate { sku, tier, evidence, low: prices, high: prices }
    }

    #[test]
    fn tokens_get_and_lose_prices_by_class_and_what_is_unclassified_never_does() {
        let mut sums = Counters::default();
        sums.of_counters.input_tokens = 7;
        sums.of_counters.output_tokens = 11;
        sums.of_counters.unclassified_tokens = 13;
        sums.total_tokens = 31;
        let mut repriced = Repriced::default();
        repriced.add(&sums, None, Some(&rate(Some(2), None)));
        repriced.add(&sums, Some(&rate(Some(2), Some(3))), Some(&rate(Some(5), None)));
        assert_eq!((repriced.newly_priced_tokens, repriced.newly_unpriced_tokens), (7, 11));
        assert_eq!((repriced.before.low, repriced.after.low), (14 + 33, 14 + 35));
        assert_eq!(repriced.before.priced_tokens + repriced.before.unpriced_tokens, 62);
        assert_eq!(repriced.after.unpriced_tokens, 2 * (11 + 13));
    }
}
