//! What operators are told of users.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::tokens::reveal;
use super::store::UserRow;
use crate::kernel::access::Token;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// A page of users, in the order of their creation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Users)]
pub struct UsersPage {
    pub data: Vec<UserListing>,
    /// Where to go on; null at the end.
    pub next_cursor: Option<String>,
}

/// A user, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserListing {
    pub user_id: Uuid,
    #[schema(example = "ann")]
    pub name: String,
    /// The wanted IANA zone.
    #[schema(example = "Europe/Berlin")]
    pub time_zone: String,
    pub created_at: DateTime<Utc>,
    /// Since when it may do nothing; null while it is active.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When any of its tokens was last used, give or take a minute or two.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl From<UserRow> for UserListing {
    fn from(row: UserRow) -> Self {
        let UserRow { user_id, name, time_zone, created_at, revoked_at, last_used_at } = row;
        Self { user_id, name, time_zone, created_at, revoked_at, last_used_at }
    }
}

/// A user that was just created.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedUser {
    /// Its id, for good.
    pub user_id: Uuid,
    /// Shown now and never again.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String, example = "hhv_…")]
    pub viewer_token: Token,
}

impl CreatedUser {
    /// The answer to its creation.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Ok(Answer::created(self)?.with_secret(self.viewer_token.reveal()))
    }
}
