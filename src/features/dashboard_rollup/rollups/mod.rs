//! `GET /v1/rollups`: sums by interval and group, a page at a time, with the totals of the whole range.

mod answer;
mod contract;
pub mod handler;
mod request;
mod store;
mod whole;
mod width;

pub use answer::{IntervalSums, RollupsAnswer};
pub use request::{GroupBy, ResultKey, RollupsRequest};
pub use store::{GroupSums, RankBy, RankedAnswer, RankedRow, Span};
pub use whole::{KnownSpans, WholeRequest, WholeSums};
pub use width::Width;
