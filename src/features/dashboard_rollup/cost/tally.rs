//! What tokens cost, and how many of them have a price.

use std::ops::Add;

/// What tokens would have cost, in pico-dollars, and how many of them have a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What they cost at least.
    pub low: u128,
    /// What they cost at most.
    pub high: u128,
    /// Tokens that have a price.
    pub priced_tokens: u128,
    /// Tokens that have none.
    pub unpriced_tokens: u128,
}

impl Cost {
    /// Of tokens that have a price.
    pub const fn priced(tokens: u128, low: u128, high: u128) -> Self {
        Self { low, high, priced_tokens: tokens, unpriced_tokens: 0 }
    }

    /// Of tokens that have none.
    pub const fn unpriced(tokens: u128) -> Self {
        Self { low: 0, high: 0, priced_tokens: 0, unpriced_tokens: tokens }
    }

    /// The lowest and the highest amount. `None` where there are tokens and none has a price: that is not an amount of zero.
    pub const fn amounts(&self) -> Option<(u128, u128)> {
        if self.priced_tokens == 0 && self.unpriced_tokens > 0 { None } else { Some((self.low, self.high)) }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            high: self.high + other.high,
            priced_tokens: self.priced_tokens + other.priced_tokens,
            unpriced_tokens: self.unpriced_tokens + other.unpriced_tokens,
        }
    }
}
