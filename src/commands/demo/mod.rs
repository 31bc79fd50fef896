//! `demo`: a year of made-up usage, so that a newcomer sees full pages.
//!
//! Accounts make a user of its own for it, and what it has used goes to the running server over HTTP, as trackers send it.
//! `habits` says what that person does, `year` makes buckets of it, and `server` is how they are sent. A seed and today's
//! date decide everything. So a repetition changes nothing, and goes on where an earlier one was killed.

mod clearing;
mod command;
mod dice;
mod habits;
mod person;
mod progress;
mod server;
mod told;
mod year;

pub use command::{DemoCommand, demo};
