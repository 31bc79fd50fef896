//! The API over real HTTP on a real PostgreSQL, as its users meet it: one file a slice, named like the slice.

mod contract;
mod dashboard_rollup;
mod isolation;
mod relay;
mod request_line;
mod support;
