//! The only code that writes `usage.bucket`. Trackers' posts come through the queue: a few writer tasks commit many of
//! them in one transaction, and the acknowledgement follows the commit. Which version of a bucket wins is decided in
//! `versions`, in one statement; what was never seen before is inserted without it, by `newness`; what a batch is and how it
//! fails, in `batch`.
//!
//! Records of single requests come through the same queue. They are added to buckets, each once, in `counting`. A device
//! has one or the other for ever, by `kinds`.
//!
//! An operator's corrections come through the second door, `corrections`, in transactions of the backfill slice, and end
//! in the same statement. What they hide is in `pre_images`. Merges of devices come through the third one, `moves`.
//!
//! While one batch is executed, the next one forms (`waiting`). The queue is bounded by rows; what does not fit is
//! refused at once.

mod batch;
pub mod corrections;
mod counting;
mod entry;
mod kept;
mod kinds;
pub mod moves;
mod newness;
mod post;
mod pre_images;
mod queue;
mod recipient;
mod room;
mod stored_answer;
mod verdict;
mod versions;
mod waiting;
mod written;

pub use kept::{CarriedKept, carry_kept, return_kept};
pub(in crate::kernel::usage) use kinds::other_kind;
pub use queue::Writer;
pub use verdict::Verdict;
pub(in crate::kernel::usage) use written::Written;
pub use written::{Rejection, Rejections};
