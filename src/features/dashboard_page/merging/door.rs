//! What backfills can do for the page. The composition root hands it over.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use crate::kernel::access::Viewer;
use crate::kernel::problem::Problem;

/// What comes of asking.
pub type FromMerges<T> = BoxFuture<'static, Result<T, Problem>>;

/// A merge, as its owner sees it.
#[derive(Clone, Debug)]
pub struct PageMerge {
    /// The job.
    pub job_id: Uuid,
    /// Where it is on its way, as the API says it.
    pub state: &'static str,
    /// Changes with the state.
    pub version: i64,
    /// The device whose buckets are moved, and the one that gets them.
    pub devices: (Uuid, Uuid),
    /// What decides where they differ, as the API says it; `None` while nobody has.
    pub resolve: Option<&'static str>,
    /// Buckets that the from-device alone has.
    pub only_in_from: i64,
    /// Buckets that the into-device alone has.
    pub only_in_into: i64,
    /// Buckets that both have with the same counts.
    pub equal: i64,
    /// Buckets that both have with other counts.
    pub different: i64,
    /// The tokens of both devices' buckets that it is about, as they are and as they will be.
    pub tokens: (u128, u128),
    /// How many buckets of the from-device are done, of how many.
    pub progress: (i64, i64),
    /// Buckets that had changed since the plan, or could not be written.
    pub left: i64,
    /// Buckets that the way back left as they are.
    pub kept: usize,
    /// Whether its rows are gone, so that it cannot be taken back any more.
    pub is_purged: bool,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// When it was begun.
    pub executed_at: Option<DateTime<Utc>>,
}

/// What is done to a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeStep {
    /// Carry it out.
    Execute,
    /// Stop, or never begin.
    Cancel,
    /// Take it back.
    RollBack,
}

/// Merges devices of their owners.
pub trait MergeActs: Send + Sync {
    /// Makes a plan, as the parameters say that the API takes, and changes nothing else. Errors: 404 for a device that is not
    /// its own, 409 while the from-device has a bucket of a half hour that has not ended and for too many plans, 413 for too
    /// many buckets, 422 for what is wrong with the parameters.
    fn plan(&self, viewer: Viewer, parameters: Vec<(String, String)>) -> FromMerges<PageMerge>;
    /// One of its merges. Errors: 404.
    fn find(&self, viewer: Viewer, job_id: Uuid) -> FromMerges<PageMerge>;
    /// Its merges, the newest first, at most `most` of them.
    fn list(&self, viewer: Viewer, most: u16) -> FromMerges<Vec<PageMerge>>;
    /// Does something to one of its merges that has this version. Errors: 404; 412 for another version; 409 where its state
    /// or its devices do not allow it, and where what it replaces has changed.
    fn change(&self, viewer: Viewer, job_id: Uuid, version: i64, step: MergeStep) -> FromMerges<PageMerge>;
}

/// The door to merges.
#[derive(Clone)]
pub struct MergeDoor(Arc<dyn MergeActs>);

impl MergeDoor {
    /// To whoever does these acts.
    pub fn new(acts: impl MergeActs + 'static) -> Self {
        Self(Arc::new(acts))
    }

    /// The acts.
    pub fn acts(&self) -> &dyn MergeActs {
        &*self.0
    }
}

impl fmt::Debug for MergeDoor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MergeDoor")
    }
}
