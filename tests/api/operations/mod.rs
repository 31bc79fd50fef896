//! What operators do, and what keeps the server standing: switches, limits, status, metrics.

mod switches;
