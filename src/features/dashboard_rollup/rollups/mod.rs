//! `GET /v1/rollups`: sums by interval and group, a page at a time, with the totals of the whole range.

pub mod handler;
mod request;
mod store;
