//! One request on its way through the queue.

use tokio::sync::OwnedSemaphorePermit;

use super::recipient::Recipient;
use super::written::Rejections;
use crate::kernel::access::DeviceKind;
use crate::kernel::call::{Evidence, RequestContext};
use crate::kernel::idempotency::IdempotencyKey;
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::record::UsageRecord;
use crate::kernel::usage::snapshot::Bucket;

/// One device's request on its way through the queue.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) user_id: uuid::Uuid,
    pub(super) device_id: uuid::Uuid,
    pub(super) context: RequestContext,
    /// What was decided of the device before; `None` where this post decides.
    pub(super) kind: Option<DeviceKind>,
    pub(super) buckets: Vec<Bucket>,
    /// What is added to buckets. A post with snapshots has none.
    pub(super) records: Vec<UsageRecord>,
    /// What stands in the places between them.
    pub(super) rejections: Rejections,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) recipient: Recipient,
    /// Its place in the queue, in rows.
    pub(super) _room: OwnedSemaphorePermit,
}

impl Post {
    /// Answers it where nobody writes it any more.
    pub(super) fn refuse_while_stopping(self) {
        self.context.upstream.not_asked(Evidence::Queued);
        self.recipient.send(Err(Problem::new(Code::Overloaded, "The server is stopping; nothing was written.")));
    }

    /// How many rows it writes.
    pub(super) const fn rows(&self) -> usize {
        self.buckets.len() + self.records.len()
    }

    /// What it does with its device's buckets; `None` where it leaves them alone.
    pub(super) const fn asks(&self) -> Option<DeviceKind> {
        match (self.buckets.is_empty(), self.records.is_empty()) {
            (_, false) => Some(DeviceKind::Counting),
            (false, true) => Some(DeviceKind::Snapshotting),
            (true, true) => None,
        }
    }
}
