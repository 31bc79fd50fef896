//! Verification compares every rollup row of a window with the fold of its buckets. It changes
//! nothing.
//!
//! Each user is read in one snapshot, which shows the work of a writer or the relay whole or not at
//! all. A day with an event that is not folded yet may differ and counts as `pending`. Any other
//! difference is drift. Days before the retention horizon have no buckets to compare with and are
//! left out. Buckets of tools that were never allowed are reported as well. A user who cannot be compared, through the user's own data or in time, is reported,
//! and the others are compared all the same.

mod comparison;
mod report;
mod store;

pub use comparison::{verify, verify_sample};
pub use report::{Drift, LISTED, NotCompared, Orphan, Report, UnknownSource, Window};
