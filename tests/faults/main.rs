//! Two servers on one database, while whatever can break is broken, and a checker of what they said.
mod checker;
mod history;
