//! The private PostgreSQL behind the zero-configuration default: found or downloaded, created on
//! first use, kept running, and ended with the process that wanted it.
//!
//! Everything here blocks, on plain threads, and belongs to no async runtime. Asynchronous callers
//! use `spawn_blocking`, and tests with many runtimes share one cluster. What it promises:
//!
//! - One process runs the cluster of a data directory. A second one is refused by name
//!   (`layout`).
//! - A crash at any moment leaves nothing that the next start does not put right. Half a
//!   cluster is never taken for a whole one (`cluster`), and no server outlives its process
//!   unnoticed (`launcher`, `supervisor`).
//! - A server that dies is started again at the same socket, so connection pools recover by
//!   themselves.
//! - An upgrade of the installed programs breaks nothing while the old ones run, is noticed, and ends in a restart
//!   in order at a quiet moment (`upgrade`), but only of programs that a trial has shown to run (`trial`).
//! - The server is reached through a socket that is closed to other users, and by password.
//!
//! ```text
//! <data_dir>/server.lock          held by the process that runs the cluster; its id
//! <data_dir>/guests.lock          shared by the commands that joined it
//! <data_dir>/postgres/            the cluster (PGDATA)
//! <data_dir>/postgres.password    of its only user
//! <data_dir>/postgres.log         what the server says
//! <data_dir>/postgresql-<version>/  downloaded programs, where none are installed
//! ```

mod binaries;
mod bounded;
mod cluster;
mod connection;
mod download;
mod error;
mod interrupt;
mod launcher;
mod layout;
mod pid_file;
mod private_server;
mod programs;
mod runtime;
mod server;
mod settings;
mod sightings;
mod socket_dir;
mod stop;
mod supervisor;
mod trial;
mod upgrade;

pub use binaries::{OLDEST_MAJOR, installed_version};
pub use error::EmbeddedPostgresError;
pub use interrupt::Interrupt;
pub use private_server::EmbeddedPostgres;
pub use programs::{Programs, Upgrade, UpgradeState};
pub use settings::{Durability, MAX_CONNECTIONS};
pub use upgrade::RESTART_AT_LATEST;
