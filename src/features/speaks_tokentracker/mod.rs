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
use utoipa_axum::router::OpenApiRouter;

use crate::kernel::dashboards::UsageSums;
use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::usage::intake::Intake;

/// The routes of the tracker.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    reports::speech()
}

/// The routes of the dashboard.
pub(crate) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageSums: FromRef<S>,
{
    reads::router()
}
