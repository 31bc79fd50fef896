//! `GET /v1/rollups/cost`: the receipt of a range. Each line can be checked with a pocket calculator.

mod answer;
pub mod handler;
mod request;
mod store;

pub use answer::{Unpriced, unpriced};
