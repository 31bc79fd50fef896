//! What usage would have cost at public list prices. Rows of the rollup name a rate, a rate never changes, and an amount is
//! the product of both: multiplied out when it is read, in whole pico-dollars, and never stored or rounded.

mod amount;
mod rate;
mod rates;
mod store;

pub use amount::{CostReply, PricedSums, PricesReply, SumsReply};
pub use rate::{CLASSES, Rate, tokens};
pub use rates::{KnownRates, RatedSums, Rates};
