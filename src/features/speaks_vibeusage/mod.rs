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
use utoipa_axum::router::OpenApiRouter;

pub use reads::{DeviceDoor, StandingCode};

use crate::kernel::clock::Clock;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::dialect::{Enrolment, Speech};
use crate::kernel::usage::intake::Intake;

/// The routes of the tracker.
pub(crate) fn speech<S>() -> Speech<S>
where
    S: Clone + Send + Sync + 'static,
    Clock: FromRef<S>,
    Enrolment: FromRef<S>,
    Intake: FromRef<S>,
{
    reports::speech()
}

/// The routes of the dashboard.
pub(crate) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageSums: FromRef<S>,
    DeviceDoor: FromRef<S>,
{
    reads::router()
}
