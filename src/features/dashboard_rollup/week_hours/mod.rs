//! What was used in each hour of the week, from buckets: only they know hours. It is read for the page, beside its sums.

mod answer;
mod store;

pub use answer::{LaterStart, WeekHours};
