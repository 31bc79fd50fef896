//! `GET /v1/rollups/summary`: a range beside the one before it, and how regularly the user works.

pub mod handler;
mod request;
mod store;
