//! What operators do, and what keeps the server standing: switches, limits, status, metrics.

mod limits;
mod metrics;
mod status;
mod switches;
