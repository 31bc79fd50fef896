//! Money as whole numbers. A price is in micro-dollars per million tokens, and an amount in pico-dollars. One micro-dollar
//! per million tokens is one pico-dollar a token, so that a product of both is an amount and nothing is ever rounded.

use std::iter::Sum;
use std::ops::Add;

/// Decimals of a price in dollars per million tokens.
pub const PRICE_DECIMALS: u32 = 6;
/// Decimals of an amount in dollars.
const AMOUNT_DECIMALS: u32 = 12;
/// No price is higher: 10,000 USD per million tokens.
pub const HIGHEST_PRICE: i64 = 10_000_000_000;

/// Why a text is no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPrice {
    /// It is not digits, with a point among them perhaps.
    NotADecimal,
    /// It has a digit after the sixth decimal.
    TooFine,
    /// It is above [`HIGHEST_PRICE`].
    TooHigh,
}

/// A price that is written in dollars per million tokens. Errors: why it is none.
pub fn price(text: &str) -> Result<i64, NoPrice> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(decimals) {
        return Err(NoPrice::NotADecimal);
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > PRICE_DECIMALS as usize {
        return Err(NoPrice::TooFine);
    }
    let micros = format!("{whole}{decimals:0<width$}", width = PRICE_DECIMALS as usize);
    micros.parse().ok().filter(|micros| *micros <= HIGHEST_PRICE).ok_or(NoPrice::TooHigh)
}

/// A price in dollars per million tokens, as people write it.
pub fn shown_price(micros: i64) -> String {
    decimal(u128::from(micros.unsigned_abs()), PRICE_DECIMALS)
}

/// An amount in dollars, to the last digit.
pub fn shown_amount(picos: u128) -> String {
    decimal(picos, AMOUNT_DECIMALS)
}

/// A whole number of the smallest unit, without zeros at its end.
fn decimal(units: u128, decimals: u32) -> String {
    let one = 10_u128.pow(decimals);
    let (whole, part) = (units / one, units % one);
    if part == 0 {
        return whole.to_string();
    }
    let part = format!("{part:0>width$}", width = decimals as usize);
    format!("{whole}.{}", part.trim_end_matches('0'))
}

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

    /// What is left of it without a part of it.
    #[must_use]
    pub const fn without(&self, part: &Self) -> Self {
        Self {
            low: self.low.saturating_sub(part.low),
            high: self.high.saturating_sub(part.high),
            priced_tokens: self.priced_tokens.saturating_sub(part.priced_tokens),
            unpriced_tokens: self.unpriced_tokens.saturating_sub(part.unpriced_tokens),
        }
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

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_price_is_read_to_the_micro_dollar_and_no_finer() {
        for (text, micros) in
            [("0", 0), ("5", 5_000_000), ("0.003625", 3_625), ("10000", HIGHEST_PRICE), ("1.10", 1_100_000)]
        {
            assert_eq!(price(text), Ok(micros), "{text}");
        }
        for text in ["", ".5", "5.", "-1", "+1", "1e3", "1,5", " 1", "NaN", "١", "1.2.3", "0x1"] {
            assert_eq!(price(text), Err(NoPrice::NotADecimal), "{text}");
        }
        assert_eq!(price("0.0000001"), Err(NoPrice::TooFine));
        assert_eq!(price("0.10000000"), Ok(100_000), "zeros say nothing");
        for text in ["10000.000001", "99999999999999999999999999"] {
            assert_eq!(price(text), Err(NoPrice::TooHigh), "{text}");
        }
    }

    #[test]
    fn an_amount_is_written_to_the_last_digit() {
        for (picos, text) in [(0, "0"), (1, "0.000000000001"), (412_350_000_000, "0.41235"), (2_000_000_000_000, "2")] {
            assert_eq!(shown_amount(picos), text);
        }
        assert_eq!(shown_amount(u128::MAX), "340282366920938463463374607.431768211455");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(micros in 0..=HIGHEST_PRICE) {
            prop_assert_eq!(price(&shown_price(micros)), Ok(micros));
        }
    }
}
