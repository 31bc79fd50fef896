//! What the protocols of other products have in common, whose trackers report here unmodified.
//!
//! A slice that speaks one of them knows its paths, its bodies and its answers. It says with a [`Dialect`] what is particular
//! about it, and how a body is read into [`Row`]s ([`ForeignFields`] reads their values), and hands a body to [`take`]. What
//! comes back is [`Taken`], of which its answer is made. Devices and persons are met through [`Enrolment`].
//!
//! What no slice repeats: what each tool means by its counts, what a tool or a model is called here, which row wins where
//! one comes twice, what takes tokens back, and that one row that cannot be taken holds up no other.

mod counts;
mod enrolment;
mod fields;
mod names;
mod protocol;
mod rows;
mod speech;
mod taking;

pub use counts::{Claimed, Meaning};
pub use enrolment::{BegunPairing, Enrolled, Enrolment, Newcomer, Paired, Polled, Registrar};
pub use fields::{ForeignBody, ForeignFields, no_known_body};
pub use protocol::{Dialect, Objection, Row, Rows, Twice, UnknownModel, UnlistedTool};
pub use speech::{Speech, Spoken, spoken};
pub use taking::{Taken, take};
