//! A record of one request to a model, which is added to a bucket and replaces nothing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::bucket::{HalfHour, Model, Source, TokenCounts};

/// What tells a record from every other one: the first 128 bits of a SHA-256. A record that is sent again has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordHash(Uuid);

impl RecordHash {
    /// Of a digest's first half.
    pub const fn new(first_half: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(first_half))
    }

    /// As it is stored.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// One record as a tool reports it. Whose it is, the writer takes from the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// By which it is known again.
    pub hash: RecordHash,
    /// When the request was made: an owner's erasure goes by it.
    pub happened_at: DateTime<Utc>,
    /// The half hour that this is in.
    pub hour_start: HalfHour,
    /// The tool.
    pub source: Source,
    /// The model.
    pub model: Model,
    /// What was used.
    pub counts: TokenCounts,
}
