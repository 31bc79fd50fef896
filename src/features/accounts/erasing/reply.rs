//! What users are told of a deletion.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::request::ErasureQuery;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;
use crate::kernel::usage::erasure::Erased;

/// What was deleted, or would be.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    /// True where nothing was deleted, and the rest says what would be.
    pub dry_run: bool,
    /// Snapshots of the scope that were taken at or before this instant are refused from now on;
    /// null in a dry run.
    pub erased_at: Option<DateTime<Utc>>,
    /// Only of this device; null for all.
    pub device: Option<Uuid>,
    /// Only of this tool; null for all.
    pub source: Option<String>,
    /// From this local day on; null where there is no such end.
    pub from: Option<NaiveDate>,
    /// Up to this local day, inclusive; null where there is no such end.
    pub to: Option<NaiveDate>,
    /// How many buckets.
    pub buckets: i64,
    /// The first half hour of them; null where there are none.
    pub first_hour: Option<DateTime<Utc>>,
    /// The last half hour of them; null where there are none.
    pub last_hour: Option<DateTime<Utc>>,
}

impl Erasure {
    /// What was asked, and what came of it. `erased_at` is absent where nothing was deleted.
    pub fn of(asked: &ErasureQuery, erased: &Erased, erased_at: Option<DateTime<Utc>>) -> Self {
        Self {
            dry_run: asked.dry_run,
            erased_at,
            device: asked.device,
            source: asked.source.map(|source| source.as_str().to_owned()),
            from: asked.from,
            to: asked.to,
            buckets: erased.buckets,
            first_hour: erased.first_hour,
            last_hour: erased.last_hour,
        }
    }

    /// The answer to it.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Ok(Answer::ok(self)?.unkept())
    }
}
