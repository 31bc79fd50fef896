//! Amounts beside the sums that they belong to.

use std::iter::Sum;
use std::ops::Add;

use serde::Serialize;
use utoipa::ToSchema;

use super::rate::Rate;
use crate::features::dashboard_rollup::state::RollupState;
use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::money::{Cost, shown_amount};
use crate::kernel::problem::Problem;

/// Sums, and what they would have cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct PricedSums {
    /// The sums.
    pub sums: Counters,
    /// What their tokens cost.
    pub cost: Cost,
}

impl PricedSums {
    /// Sums at one rate; without a rate nothing has a price.
    pub fn at(sums: Counters, rate: Option<&Rate>) -> Self {
        let cost = rate.map_or(Cost::unpriced(sums.total_tokens), |rate| rate.cost(&sums));
        Self { sums, cost }
    }

    /// Asserts what [`Counters::within`] does, and the same of costs: what has a price and what has none are all tokens, and
    /// no part costs more than the whole. Errors: 500 `wrong_number`.
    pub fn within(&self, whole: &Self) -> Result<(), Problem> {
        self.sums.within(&whole.sums)?;
        for PricedSums { sums, cost } in [self, whole] {
            if cost.priced_tokens + cost.unpriced_tokens != sums.total_tokens || cost.low > cost.high {
                return Err(Problem::wrong_number("costs_add_up", format!("{cost:?} of {:?}", sums.values())));
            }
        }
        let [part, all] = [self.cost, whole.cost];
        if part.low > all.low || part.high > all.high {
            return Err(Problem::wrong_number("parts_are_within_totals", format!("{part:?} of {all:?}")));
        }
        Ok(())
    }
}

impl Add for PricedSums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sums: self.sums + other.sums, cost: self.cost + other.cost }
    }
}

impl Sum for PricedSums {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), Add::add)
    }
}

/// Sums as replies show them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollupSums)]
pub struct SumsReply {
    #[serde(flatten)]
    counters: Counters,
    /// What they would have cost; absent where no price book is in force for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<CostReply>,
}

impl SumsReply {
    /// With the cost, where there is a book.
    pub fn new(priced: PricedSums, book: Option<i32>) -> Self {
        Self { counters: priced.sums, cost: book.map(|_book| priced.cost.into()) }
    }

    /// The sums, for a table.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The cost, for a table.
    pub const fn cost(&self) -> Option<&CostReply> {
        self.cost.as_ref()
    }
}

/// What tokens would have cost at public list prices, in US dollars, to the last digit. Parts add up to their whole.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Cost)]
pub struct CostReply {
    /// A plain decimal. Null where no token has a price; `0` where there are none, or where they are stated free.
    #[schema(example = "0.41235")]
    pub amount: Option<String>,
    /// The most that it may have been. It is above `amount` where it is not known whether requests were long.
    #[schema(example = "0.41235")]
    pub amount_high: Option<String>,
    /// Tokens that have a price.
    pub priced_tokens: u128,
    /// Tokens that have none.
    pub unpriced_tokens: u128,
    /// Whether every token has a price. If not, both amounts are lower bounds.
    pub complete: bool,
}

impl CostReply {
    /// The names of the columns in a table.
    pub const COLUMNS: [&str; 3] = ["cost_usd", "cost_high_usd", "unpriced_tokens"];

    /// The cells of a table; a cell is empty where there is no amount.
    pub fn cells(&self) -> [String; 3] {
        let amount = |amount: &Option<String>| amount.clone().unwrap_or_default();
        [amount(&self.amount), amount(&self.amount_high), self.unpriced_tokens.to_string()]
    }
}

impl From<Cost> for CostReply {
    fn from(cost: Cost) -> Self {
        let (amount, amount_high) = cost.amounts().map(|(low, high)| (shown_amount(low), shown_amount(high))).unzip();
        Self {
            amount,
            amount_high,
            priced_tokens: cost.priced_tokens,
            unpriced_tokens: cost.unpriced_tokens,
            complete: cost.unpriced_tokens == 0,
        }
    }
}

/// What costs are in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Prices)]
pub struct PricesReply {
    /// Always US dollars.
    #[schema(example = "USD")]
    currency: &'static str,
    /// Always `api_list`: what the tokens would have cost at public list prices of the API. Plans, discounts, credits and
    /// taxes are not in it, so that it is not what was spent.
    #[schema(example = "api_list")]
    basis: &'static str,
    /// The price book that every number of this reply is in; null where the rollup is not in one yet.
    #[schema(example = 1)]
    book: Option<i32>,
    /// The price book that the rollup is being moved to; null where it is in that one.
    pending_book: Option<i32>,
}

impl PricesReply {
    /// Of the rollup in this state; `None` where no book is in force.
    pub fn of(state: &RollupState) -> Option<Self> {
        let (book, pending_book) = (state.book(), state.pending_book());
        let has_any = book.is_some() || pending_book.is_some();
        has_any.then_some(Self { currency: "USD", basis: "api_list", book, pending_book })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernel::bucket::PerCounter;

    fn rates() -> impl Strategy<Value = Rate> {
        let price = || proptest::option::of((0..5_000_000_000_u64, 0..5_000_000_000_u64));
        proptest::array::uniform5(price()).prop_map(|prices| Rate {
            sku: "a/b".to_owned(),
            tier: "range".to_owned(),
            evidence: String::new(),
            low: prices.map(|price| price.map(|(low, _)| low)),
            high: prices.map(|price| price.map(|(low, more)| low + more)),
        })
    }

    fn sums() -> impl Strategy<Value = Counters> {
        proptest::array::uniform6(0..1_000_000_000_000_u64).prop_map(|counts| {
            let [input, cache_read, brief_write, long_write, output, unclassified] = counts.map(u128::from);
            let of_counters = PerCounter {
                input_tokens: input,
                cache_read_tokens: cache_read,
                cache_write_5m_tokens: brief_write,
                cache_write_1h_tokens: long_write,
                output_tokens: output,
                reasoning_tokens: output / 2,
                unclassified_tokens: unclassified,
                request_count: 1,
            };
            Counters { of_counters, total_tokens: of_counters.total_sum(), bucket_count: 1 }
        })
    }

    proptest! {
        #[test]
        fn parts_cost_what_their_whole_costs_and_every_token_has_a_price_or_none(
            rate in rates(), parts in proptest::collection::vec(sums(), 1..20),
        ) {
            let whole = PricedSums::at(parts.iter().copied().sum(), Some(&rate));
            let priced: Vec<_> = parts.iter().map(|part| PricedSums::at(*part, Some(&rate))).collect();
            let sum: PricedSums = priced.iter().copied().sum();
            prop_assert_eq!(sum.cost, whole.cost);
            prop_assert!(priced.iter().all(|part| part.within(&whole).is_ok()));
            prop_assert!(whole.cost.low <= whole.cost.high);
            prop_assert_eq!(CostReply::from(whole.cost).complete, whole.cost.unpriced_tokens == 0);
            let nothing = PricedSums::at(whole.sums, None);
            prop_assert_eq!(nothing.cost.amounts().is_none(), whole.sums.total_tokens > 0);
        }
    }

    #[test]
    fn a_cost_that_does_not_add_up_never_leaves_the_house() {
        let right = PricedSums::default();
        for cost in [Cost::unpriced(1), Cost::priced(0, 2, 1)] {
            assert!(PricedSums { cost, ..right }.within(&right).is_err());
        }
    }
}
