//! The API over real HTTP on a real PostgreSQL, as its users meet it: one file a slice, named like the slice.

mod contract;
mod ingest_buckets;
mod isolation;
mod request_line;
mod support;
