//! `GET /v1/rollups/cost`: the receipt of a range. Each line can be checked with a pocket calculator.

mod answer;
pub mod handler;
mod request;
mod sheets;
mod store;

pub use answer::{ReceiptLine, Unpriced, unpriced};
pub use sheets::ReceiptSheet;
pub use store::Pair;
