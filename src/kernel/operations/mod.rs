//! What operators steer and what is written down of it: kill switches and the audit.

pub mod audit;
pub mod switches;
