//! One rate, and what tokens cost at it.

use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::money::Cost;

/// Prices of the classes in micro-dollars per million tokens, which are pico-dollars a token; in the order of [`CLASSES`].
pub type Prices = [Option<u64>; 5];

/// The classes that may have a price. Reasoning is part of the output, and what is unclassified has none.
pub const CLASSES: [&str; 5] = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"];

/// Prices that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What is sold.
    pub sku: String,
    /// For which requests: `short`, `long`, or `range`.
    pub tier: String,
    /// Where the prices were found.
    pub evidence: String,
    /// The prices, or the lowest that they may have been.
    pub low: Prices,
    /// The highest.
    pub high: Prices,
}

impl Rate {
    /// Both prices of each class, where both are known.
    pub fn prices(&self) -> [Option<(u64, u64)>; 5] {
        std::array::from_fn(|place| {
            let of = |prices: &Prices| prices.get(place).copied().flatten();
            of(&self.low).zip(of(&self.high))
        })
    }

    /// What these sums cost. A sum of tokens has less than 90 bits and a price less than 34, so that 128 have room.
    pub fn cost(&self, sums: &Counters) -> Cost {
        let classes = tokens(sums).into_iter().zip(self.prices());
        let priced = classes.fold(Cost::default(), |cost, (tokens, prices)| match prices {
            Some((low, high)) => cost + Cost::priced(tokens, tokens * u128::from(low), tokens * u128::from(high)),
            None => cost + Cost::unpriced(tokens),
        });
        priced + Cost::unpriced(sums.of_counters.unclassified_tokens)
    }
}

/// The tokens of each class.
pub fn tokens(sums: &Counters) -> [u128; 5] {
    let counters = &sums.of_counters;
    [
        counters.input_tokens,
        counters.cache_read_tokens,
        counters.cache_write_5m_tokens,
        counters.cache_write_1h_tokens,
        counters.output_tokens,
    ]
}
