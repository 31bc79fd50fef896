//! The rules of the house, kept by a test: who may import whom, who owns which table, what a slice is made of.
//!
//! Each rule is a pure function from a tree of files to the violations in it. It runs once over this repository,
//! and over small trees into which a violation is planted, because a rule that catches nothing proves nothing;
//! beside each plant stands a look-alike that must pass. `docs/architecture.md` says what the rules are for.

#[path = "architecture/mod.rs"]
mod rules;
