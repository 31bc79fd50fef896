//! Whose fault it was, read from a log: M1 lines in, verdicts out.
//!
//! Promises:
//!
//! - Every line is counted once: as an M1 line, as foreign, or as broken.
//! - Nobody is blamed beyond the evidence of the line. A line whose own word does not follow from its
//!   evidence blames nobody, and its failure is `UNKNOWN`.
//! - Memory is bounded whatever the log holds: one line of at most [`MAX_LINE`] bytes, and at most
//!   [`MAX_GROUPS`] groups of calls. What comes beyond is counted by blame alone, and the report says so.
//!
//! It has no routes and no database: the command `attribute` hands it files.

mod blame;
mod call_group;
mod lines;
mod log_line;
mod log_review;
mod report;

pub use blame::Blame;
pub use lines::MAX_LINE;
pub use log_review::{LogReview, MAX_GROUPS};
pub use report::{BlameReport, BlameRow, EvidenceRow, FailedCalls, LinePlace, SlowCalls, Strays};
