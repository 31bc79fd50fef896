//! The protocol of vibeusage: `/functions/vibeusage-*`, and the same routes as `/functions/vibescore-*`, which the released
//! tracker calls.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `reports` | what the tracker sends, and how its device gets a token | devices, viewers, anybody who knows a link code |

mod reports;

use axum::extract::FromRef;

use crate::kernel::clock::Clock;
use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::usage::intake::Intake;

/// The slice's routes.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Clock: FromRef<S>,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
{
    reports::speech()
}
