//! Snapshots with whose they are, and the requests that their events are put down to.

use uuid::Uuid;

use crate::kernel::bucket::BucketKeyRef;
use crate::kernel::usage::snapshot::{Bucket, SnapshotPlace};

/// A snapshot and whose it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) user_id: Uuid,
    pub(super) device_id: Uuid,
    pub(super) bucket: &'a Bucket,
}

/// The request that a user's events name as their cause.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) user_id: Uuid,
    pub(super) request_id: Uuid,
    pub(super) traceparent: String,
}

impl<'a> Entry<'a> {
    pub(super) fn key(&self) -> BucketKeyRef<'a> {
        BucketKeyRef {
            user_id: self.user_id,
            hour_start: self.bucket.hour_start.start(),
            device_id: self.device_id,
            source: self.bucket.source.as_str(),
            model: self.bucket.model.as_str(),
        }
    }

    /// The order within a commit, which is that of the statements.
    pub(super) const fn version(&self) -> (SnapshotPlace, bool) {
        (self.bucket.place(), self.bucket.stamp.stamped)
    }
}
