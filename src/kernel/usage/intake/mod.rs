//! The door for posts, whatever protocol carries them.
//!
//! A protocol's handler names [`Intake`] in its signature, so that nothing of a body is read while
//! posting is switched off. It asks [`Intake::admit`] with an estimate ([`estimated_places`]), so that a refusal under a
//! flood costs no parsing, and gets an empty [`Draft`]. It reads its body into that: [`Draft::add`]
//! for each bucket, [`Draft::reject`] for each place that it could not read, in order.
//! [`Intake::post`] takes the draft, and answers with a [`Receipt`] that has one verdict a place.
//!
//! A protocol whose clients tell of single requests asks [`Intake::admit_records`] for a [`Tally`], adds a record for
//! each, and hands it to [`Intake::count`], which adds each record to its bucket once.
//!
//! What the intake knows and no protocol repeats: how old or new a half hour may be, how far a
//! tracker's clock may be ahead, which tools may report, when an unstamped snapshot arrived, what a device may post in an
//! hour, what a repeated key is answered, and that a post is written whole or not at all.

mod arrival;
mod beginning;
mod door;
mod draft;
mod estimate;
mod heard;
mod repeats;
mod tally;

pub use arrival::{Timely, Untimely};
pub use beginning::{Begun, note_beginning};
pub use door::{CountReceipt, Intake, Receipt};
pub use draft::{Draft, Handling, Snapshot};
pub use estimate::estimated_places;
pub use heard::{Heard, HeardDevices};
pub use repeats::{RepeatLookups, Repeats};
pub use tally::{Happened, MAX_RECORDS, Tally};
