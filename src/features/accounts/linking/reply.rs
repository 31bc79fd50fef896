//! What the owner of a new device is told of its link code.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::link_code::LinkCode;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// A link code that was just made.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LinkCode)]
pub struct MadeLinkCode {
    /// To be typed on the new device. Shown now and never again.
    #[serde(serialize_with = "reveal")]
    #[schema(value_type = String, example = "7K3M-9QXD-2VTA", min_length = 14, max_length = 14)]
    pub code: LinkCode,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

impl MadeLinkCode {
    /// The answer to its making.
    pub fn answer(&self) -> Result<Answer, Problem> {
        Ok(Answer::created(self)?.with_secret(&self.code.reveal()))
    }
}

/// A code is written out by serialising it here and by nothing else.
fn reveal<S: Serializer>(code: &LinkCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&code.reveal())
}
