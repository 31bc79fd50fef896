//! `GET /v1/buckets`: the user's own buckets as they stand, in pages or as one stream.

pub mod handler;
mod request;
mod store;
mod table;
