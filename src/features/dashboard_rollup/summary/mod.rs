//! `GET /v1/rollups/summary`: a range beside the one before it, and how regularly the user works.

mod answer;
pub mod handler;
mod request;
mod store;

pub use answer::{BothSums, SummaryAnswer};
pub use request::SummaryRequest;
pub use store::Streaks;
