//! What a verification finds, added up over users, and the function that compares one user.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::job::{Days, Job};
use crate::kernel::problem::Problem;

/// What a verification has found, added up over users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// Days of users whose rollup is not the fold of their buckets.
    pub count: u64,
    /// Days of users with an event that is not folded yet: not compared.
    pub pending: u64,
    /// Days of users that were compared.
    pub user_days: u64,
    /// The first hundred days with drift.
    pub first: Vec<serde_json::Value>,
    /// Users and devices that do not exist and yet have buckets or rollup rows.
    pub orphaned: u64,
    /// The first hundred of them.
    pub orphans: Vec<serde_json::Value>,
    /// Buckets of tools that were never allowed.
    pub of_unknown_sources: u64,
    /// The first hundred of these tools, by user.
    pub unknown_sources: Vec<serde_json::Value>,
    /// Users that could not be compared.
    pub not_compared: u64,
    /// The first hundred of them, each with a code that says why.
    pub not_compared_users: Vec<serde_json::Value>,
}

impl Findings {
    const LISTED: usize = 100;

    /// Adds what was found of another user.
    pub(super) fn add(&mut self, more: Self) {
        self.count += more.count;
        self.pending += more.pending;
        self.user_days += more.user_days;
        self.orphaned += more.orphaned;
        self.of_unknown_sources += more.of_unknown_sources;
        self.not_compared += more.not_compared;
        for (listed, more) in [
            (&mut self.first, more.first),
            (&mut self.orphans, more.orphans),
            (&mut self.unknown_sources, more.unknown_sources),
            (&mut self.not_compared_users, more.not_compared_users),
        ] {
            listed.extend(more.into_iter().take(Self::LISTED - listed.len().min(Self::LISTED)));
        }
    }
}

/// Compares the rollup of a user with its buckets: the composition root hands it over from the slice that can.
#[derive(Clone)]
pub struct Verify(Arc<Compare>);

type Compare = dyn Fn(Uuid, Days) -> Comparison + Send + Sync;
type Comparison = BoxFuture<'static, Result<Findings, Problem>>;

impl Verify {
    /// From a function of a user and days, which must end well within the 12 seconds of a step.
    pub fn new(compare: impl Fn(Uuid, Days) -> Comparison + Send + Sync + 'static) -> Self {
        Self(Arc::new(compare))
    }
}

impl Verify {
    /// Compares one user.
    pub(super) async fn compare(&self, user_id: Uuid, days: Days) -> Result<Findings, Problem> {
        (self.0)(user_id, days).await
    }
}

impl std::fmt::Debug for Verify {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Verify")
    }
}

/// What a verification has found so far.
pub(super) fn findings(job: &Job) -> Result<Findings, Problem> {
    let found = job.drift.clone().map(serde_json::from_value).transpose().map_err(Problem::internal)?;
    Ok(found.unwrap_or_default())
}
