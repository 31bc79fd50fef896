//! Decimal numbers as people add and multiply them on paper, digit by digit. What the product computes in 128 bits is
//! computed here once more, in another way.

use std::cmp::Ordering;

/// Decimals of an amount.
const DECIMALS: usize = 12;

/// A number that is not negative, in units of its twelfth decimal: digits, the lowest first, without zeros at the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digits(Vec<u8>);

impl Digits {
    /// Reads a plain decimal.
    pub fn parse(text: &str) -> Self {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        assert!(part.len() <= DECIMALS && !text.is_empty(), "{text}");
        let text = format!("{whole}{part:0<DECIMALS$}");
        let digits = text.bytes().rev().map(|byte| {
            assert!(byte.is_ascii_digit(), "{text}");
            byte - b'0'
        });
        Self(digits.collect()).trimmed()
    }

    /// The price of a million tokens, as the price of one: six places to the right.
    pub fn per_token(price: &str) -> Self {
        let digits = Self::parse(price).0;
        assert!(digits.iter().take(6).all(|digit| *digit == 0), "a price is not finer than a micro-dollar: {price}");
        Self(digits.into_iter().skip(6).collect()).trimmed()
    }

    pub fn plus(&self, other: &Self) -> Self {
        let mut carry = 0;
        let mut digits = Vec::new();
        for place in 0..self.0.len().max(other.0.len()) {
            let sum = self.digit(place) + other.digit(place) + carry;
            digits.push(sum % 10);
            carry = sum / 10;
        }
        digits.push(carry);
        Self(digits).trimmed()
    }

    /// So many times this.
    pub fn times(&self, count: u64) -> Self {
        let mut product = Self::default();
        for (place, digit) in count.to_string().bytes().rev().enumerate() {
            let mut shifted = vec![0; place];
            shifted.extend(&self.0);
            let shifted = Self(shifted);
            for _ in 0..digit - b'0' {
                product = product.plus(&shifted);
            }
        }
        product
    }

    pub fn sum<'a>(numbers: impl IntoIterator<Item = &'a Self>) -> Self {
        numbers.into_iter().fold(Self::default(), |sum, number| sum.plus(number))
    }

    fn digit(&self, place: usize) -> u8 {
        self.0.get(place).copied().unwrap_or_default()
    }

    fn trimmed(mut self) -> Self {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        self
    }
}

impl PartialOrd for Digits {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.0.len().cmp(&other.0.len()).then_with(|| self.0.iter().rev().cmp(other.0.iter().rev())))
    }
}

#[test]
fn it_computes_as_on_paper() {
    let parse = Digits::parse;
    assert_eq!(parse("0.5").plus(&parse("0.500000000001")), parse("1.000000000001"));
    assert_eq!(Digits::per_token("0.003625").times(1_000_000), parse("0.003625"));
    assert_eq!(parse("1.2").times(105), parse("126"));
    assert_eq!(parse("0").times(7), parse("0.0"));
    assert!(parse("9.99") < parse("10") && parse("2") > parse("1.999999999999"));
}
