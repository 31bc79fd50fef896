//! `GET /v1/buckets`: the user's own buckets as they stand, in pages or as one stream.

mod answer;
mod contract;
pub mod handler;
mod request;
mod store;
mod table;

pub use answer::BucketsAnswer;
pub use request::{BucketsRequest, RowKey};
pub use store::{BucketRow, first_instant};
