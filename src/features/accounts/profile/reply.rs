//! What users are told of themselves.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::ProfileRow;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// Oneself.
#[derive(Debug, Serialize, ToSchema)]
pub struct Profile {
    pub user_id: Uuid,
    /// Chosen by the operator.
    #[schema(example = "ann")]
    pub name: String,
    /// The wanted IANA zone. Replies of `/v1/rollups` name the zone that the rollup is in, which
    /// for seconds after a change may still be the old one.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    pub created_at: DateTime<Utc>,
}

impl Profile {
    /// The profile that was found for a user.
    pub fn of(user_id: Uuid, row: ProfileRow) -> Self {
        let ProfileRow { name, time_zone, created_at } = row;
        Self { user_id, name, time_zone, created_at }
    }

    /// The answer to its change.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Answer::ok(self)
    }
}
