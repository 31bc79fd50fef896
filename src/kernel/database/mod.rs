//! The only way to the database.
//!
//! A connection starts in the role `halfhour_none`, which may do nothing. A [`Tx`] opens on it in one round trip with a
//! role, the users whose rows it may touch, and a statement timeout. Every statement is timed, and how it ended is kept
//! for the log line. A transaction that is dropped unfinished closes its connection.
//!
//! Nothing waits for PostgreSQL without a limit on this side: `limits` says how long, `connection` how a connection that
//! says nothing is let go, and `breaker` when nobody asks any more.

mod breaker;
pub(crate) mod columns;
pub mod condition;
mod connection;
mod database_clock;
mod failure;
mod health;
mod limits;
mod listener;
mod pool;
mod pools;
mod reads;
mod retries;
pub mod schema;
mod standby;
mod statement_spans;
mod statements;
mod tx;

pub use breaker::BreakerState;
pub use columns::BucketKeyColumns;
pub(crate) use columns::{counters_of_row, query_file_columns};
pub use database_clock::{follow_database_clock, watch_machine_clock};
pub use failure::{NoSum, broken_constraint, is_data_fault, is_lock_timeout, is_transient};
pub use listener::Listener;
pub use pool::{ACQUIRE_TIMEOUT, Pool, PoolLoad, by_key, by_range, in_batches};
pub use pools::Pools;
pub use reads::{ReadFrom, UsageReads};
pub use standby::{Fallback, Standby, StandbyReport};
pub use tx::{Access, Mode, Tx};
