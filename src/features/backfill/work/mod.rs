//! Carries jobs out, and takes them back, in steps of some hundred rows. Each step is one
//! transaction that holds everything it does: buckets, pre-images, events, what went wrong, and how
//! far the job has come.
//!
//! **It ends.** The rows of a plan never change once it is planned. A replay or a verification stops
//! at the number of users that was fixed then. A step either moves the cursor over at least one row,
//! and the cursor never moves back within a phase, or the step changes nothing for one of these
//! reasons:
//!
//! - The database refuses the step's data. The next step takes half as many rows, down to one, which
//!   is then listed as poisoned and stepped over.
//! - Others have to do something first: events wait to be folded, somebody holds one of the rows or
//!   is erasing usage, the switch is off, or the database is away. The worker waits.
//! - The lease is lost. Whoever has it goes on from the same cursor, unless the job was taken from the
//!   workers. A step renews its lease first and ends well before the lease does, so a step does not
//!   lose its own lease.
//!
//! A verification compares one user a step, and steps over a user that it cannot compare.
//!
//! A job of n rows therefore ends after at most n steps that move, each after a bounded number that do
//! not. A crash of the worker repeats at most the step that was not committed. A crash of PostgreSQL
//! also repeats the steps of its last moments, because steps do not wait for the disk. The end of a
//! phase does wait.
//!
//! **Two never work on one job.** A lease is taken with `for update skip locked` and lasts by the
//! database's clock. The first statement of each step proves the lease and locks the job, so a worker
//! that slept through its lease writes nothing.

mod findings;
mod pairs;
mod rows;
mod store;
mod users;
mod worker;

pub use findings::{Findings, Verify};
pub use worker::Worker;
