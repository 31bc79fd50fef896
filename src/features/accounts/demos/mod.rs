//! Demos: a user whose usage is made up, so that a newcomer sees full pages.
//!
//! The user and its devices come into being together or not at all, and only a command makes them.
//! A user counts as the demo's if its first devices are what a demo makes, whatever they are called
//! by now. So nobody who merely has the name of the demo is taken for it. Its tokens follow from the
//! server's key, so that a repetition shows the same ones and stores nothing. There are no routes.

mod acts;

pub use acts::{Demo, DemoDevice, Demos};
