//! One request on its way through the queue, and its answer.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::versions::Verdict;
use crate::kernel::bucket::Bucket;
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;
use crate::kernel::usage::idempotency::IdempotencyKey;

/// What a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The request that was executed: an earlier one where this is a replay.
    pub request_id: uuid::Uuid,
    /// One a bucket, in order.
    pub verdicts: Vec<Verdict>,
    /// The rejections that were answered beside them, as JSON.
    pub rejections: Option<String>,
    /// True where the answer is of an earlier execution.
    pub replayed: bool,
}

/// One device's request on its way through the queue.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) user_id: uuid::Uuid,
    pub(super) device_id: uuid::Uuid,
    pub(super) context: RequestContext,
    pub(super) buckets: Vec<Bucket>,
    pub(super) key: Option<IdempotencyKey>,
    pub(super) reply: oneshot::Sender<Result<Written, Problem>>,
    /// Its place in the queue, in rows.
    pub(super) _room: OwnedSemaphorePermit,
}
