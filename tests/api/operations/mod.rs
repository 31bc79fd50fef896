//! What operators do, and what keeps the server standing: switches, tools, limits, status, metrics.

mod limits;
mod metrics;
mod sources;
mod status;
mod switches;
mod tools;

pub use tools::TOOLS;
