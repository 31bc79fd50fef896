//! What is answered of prices: the book that costs are in, and a receipt.

use chrono::{DateTime, NaiveDate, Utc};

use crate::kernel::money::Cost;

/// The price book that costs are in. They are public list prices of the API, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricedBook {
    /// Its number.
    pub book: i32,
    /// The day of its prices.
    pub dated: NaiveDate,
    /// The book that the rollup is being moved to, where that is another one.
    pub pending: Option<i32>,
}

/// A page of a receipt, and what all its pages add up to.
#[derive(Clone, Debug)]
pub struct ReceiptSums {
    /// The first local day.
    pub from: NaiveDate,
    /// The last local day, inclusive.
    pub to: NaiveDate,
    /// All tokens.
    pub tokens: u128,
    /// What they cost.
    pub cost: Cost,
    /// How many tools, models and rates there are in all. Each has a line for each class of its tokens.
    pub count: usize,
    /// How many of them are on the pages before.
    pub before: usize,
    /// How many of them are on this page.
    pub listed: usize,
    /// The lines of this page, by tool and model.
    pub lines: Vec<PricedLine>,
}

/// The tokens of one class at one price.
#[derive(Clone, Debug)]
pub struct PricedLine {
    /// The tool.
    pub source: String,
    /// The model, as the tool reports it.
    pub model: String,
    /// What the model stands for in the book.
    pub sku: Option<String>,
    /// By which rule its name was matched.
    pub rule: Option<String>,
    /// The rate; `None` where there is none.
    pub rate_id: Option<i32>,
    /// For which requests the rate is: `short`, `long`, or `range`.
    pub tier: Option<String>,
    /// Which tokens.
    pub class: &'static str,
    /// How many.
    pub tokens: u128,
    /// What a million of them cost in micro-dollars, at least and at most; or why that is not known.
    pub price: Result<(u64, u64), &'static str>,
    /// From when on the rate holds; `None` where that is not known.
    pub valid_from: Option<DateTime<Utc>>,
    /// Until when.
    pub valid_to: Option<DateTime<Utc>>,
    /// Where the price was found.
    pub evidence: Option<String>,
}

impl PricedLine {
    /// The product of tokens and price in pico-dollars, at least and at most.
    pub fn amounts(&self) -> Option<(u128, u128)> {
        let (low, high) = self.price.ok()?;
        Some((self.tokens * u128::from(low), self.tokens * u128::from(high)))
    }
}
