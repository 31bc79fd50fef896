//! Speaks as TokenTracker's server does, so that its tracker reports here unmodified, and its dashboard works here behind a
//! proxy that adds a viewer's token: `/functions/tokentracker-*`.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `reads` | what the dashboard asks | viewers |
//! | `reports` | what the tracker sends, and how its device gets a token | devices, viewers, anybody who pairs |

mod reads;
mod reports;

use axum::extract::FromRef;
use axum::http::StatusCode;

use crate::kernel::dashboards::UsageSums;
use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::http::manner::{Form, Manner};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::usage::intake::Intake;

/// The slice's routes. Its tracker waits after 429 as long as it is told.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
    PublicUrl: FromRef<S>,
    UsageSums: FromRef<S>,
{
    Speech {
        devices: reports::device_router(),
        viewers: reports::viewer_router().merge(reads::router()),
        strangers: reports::stranger_router(),
        manner: Manner {
            // The dashboard asks its own origin at those behind the first, too.
            paths: &["/functions/tokentracker-", "/api/local-", "/api/auth-bridge/"],
            form: Form::ErrorAndMessage { too_often: StatusCode::TOO_MANY_REQUESTS },
        },
    }
}
