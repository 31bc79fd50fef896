//! `GET /v1/rollups`: sums by interval and group, a page at a time, with the totals of the whole range.

mod answer;
pub mod handler;
mod request;
mod store;

pub use answer::{IntervalSums, RollupsAnswer};
pub use request::{GroupBy, ResultKey, RollupsRequest, Width};
pub use store::{GroupSums, Span};
