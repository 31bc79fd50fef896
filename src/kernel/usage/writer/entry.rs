//! Snapshots with whose they are, and the keys they are found by.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::bucket::{Bucket, TokenCounts};

/// A snapshot and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) user_id: Uuid,
    pub(super) device_id: Uuid,
    pub(super) bucket: &'a Bucket,
}

/// The request that a user's events are put down to.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) user_id: Uuid,
    pub(super) request_id: Uuid,
    pub(super) traceparent: String,
}

/// The primary key, in its order: `source` and `model` compare by bytes, as collation "C" does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<'a> {
    pub(super) user_id: Uuid,
    pub(super) hour_start: DateTime<Utc>,
    pub(super) device_id: Uuid,
    pub(super) source: &'a str,
    pub(super) model: &'a str,
}

impl<'a> Entry<'a> {
    pub(super) fn key(&self) -> Key<'a> {
        Key {
            user_id: self.user_id,
            hour_start: self.bucket.hour_start.start(),
            device_id: self.device_id,
            source: self.bucket.source.as_str(),
            model: self.bucket.model.as_str(),
        }
    }

    pub(super) const fn version(&self) -> (DateTime<Utc>, TokenCounts, bool) {
        (self.bucket.stamp.observed_at, self.bucket.counts, self.bucket.stamp.stamped)
    }
}

/// The five key columns of a batch, one array each.
#[derive(Debug, Default)]
pub(super) struct Keys<'a> {
    pub(super) user_ids: Vec<Uuid>,
    pub(super) hour_starts: Vec<DateTime<Utc>>,
    pub(super) device_ids: Vec<Uuid>,
    pub(super) sources: Vec<&'a str>,
    pub(super) models: Vec<&'a str>,
}

impl<'a> Keys<'a> {
    pub(super) fn of(batch: impl IntoIterator<Item = Key<'a>>) -> Self {
        let mut keys = Self::default();
        for key in batch {
            keys.user_ids.push(key.user_id);
            keys.hour_starts.push(key.hour_start);
            keys.device_ids.push(key.device_id);
            keys.sources.push(key.source);
            keys.models.push(key.model);
        }
        keys
    }
}
