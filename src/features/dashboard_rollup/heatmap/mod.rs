//! `GET /v1/rollups/heatmap`: one cell a day, of a range or of whole weeks.

mod answer;
mod contract;
pub mod handler;
mod request;
mod store;

pub use answer::HeatmapAnswer;
pub use request::HeatmapRequest;
pub use store::DaySums;
