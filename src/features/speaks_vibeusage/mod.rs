//! Speaks as vibeusage's server does, so that its tracker and its dashboard work here as they are.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `reads` | what the dashboard asks | viewers |
//! | `reports` | what the tracker sends, and how its device gets a token | devices, viewers, anybody who knows a link code |
//!
//! Every route has two names, because the product had another name before: `/functions/vibeusage-…` and
//! `/functions/vibescore-…`. The paths cannot be told from others by a prefix, for its programs drop the path of the URL
//! that they are given.

mod names;
mod reads;
mod reports;

use axum::extract::FromRef;
use axum::http::StatusCode;

pub use reads::{DeviceDoor, StandingCode};

use crate::kernel::clock::Clock;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::http::manner::{Form, Manner};
use crate::kernel::usage::intake::Intake;

/// The slice's routes. Its programs try 503 again, and its tracker 429 too.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Clock: FromRef<S>,
    DeviceDoor: FromRef<S>,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
    UsageSums: FromRef<S>,
{
    Speech {
        devices: reports::device_router(),
        viewers: reports::viewer_router().merge(reads::router()),
        strangers: reports::stranger_router(),
        manner: Manner {
            // The dashboard asks at the second of these after a 404 at the first, and both programs may sign in at the third.
            paths: &["/functions/vibeusage-", "/functions/vibescore-", "/api/functions/", "/api/auth/"],
            form: Form::ErrorAndMessage { too_often: StatusCode::TOO_MANY_REQUESTS },
        },
    }
}
