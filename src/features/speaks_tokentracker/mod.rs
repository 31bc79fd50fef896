//! The protocol of TokenTracker: `/functions/tokentracker-*`.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `reports` | what the tracker sends, and how its device gets a token | devices, viewers, anybody who pairs |

mod reports;

use axum::extract::FromRef;

use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::usage::intake::Intake;

/// The slice's routes.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    reports::speech()
}
