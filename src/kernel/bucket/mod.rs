//! The vocabulary of usage: half hours, sources, models, the counters of a bucket and its key.
//! Pure: no database, no HTTP.

mod model;
mod vocabulary;

pub use model::{Model, NoModel};
pub(crate) use vocabulary::with_counters;
pub use vocabulary::{
    BucketKey, BucketKeyRef, CountColumns, HALF_HOUR_S, HalfHour, MAX_COUNT, MAX_POSTED, PerCounter, Source,
    TokenCounts,
};
