//! halfhour keeps the token usage that AI coding tools report, without ever double-counting or losing a bucket.
//!
//! The map of the house: [`config`] reads the environment once. [`app`] puts everything together and publishes the
//! contract. [`kernel`] holds the rules that several features share. [`features`] are vertical slices, each a folder that
//! one could delete. [`commands`] is the binary, server and operator's tool in one. [`embedded_postgres`] is the private
//! database behind the zero-configuration default. `docs/architecture.md` says why.

pub mod app;
pub mod commands;
pub mod config;
pub mod features;
pub mod kernel;

pub use halfhour_embedded_postgres as embedded_postgres;
