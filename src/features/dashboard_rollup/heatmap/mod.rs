//! `GET /v1/rollups/heatmap`: one cell a day, whole weeks.

pub mod handler;
mod request;
mod store;
