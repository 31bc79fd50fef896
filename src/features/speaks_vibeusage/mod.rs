//! Speaks as vibeusage's server does, so that its dashboard works here as it is.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `reads` | what the dashboard asks | viewers |
//!
//! Every route has two names, because the product had another name before: `/functions/vibeusage-…` and
//! `/functions/vibescore-…`. The paths cannot be told from others by a prefix, for its programs drop the path of the URL
//! that they are given.

mod reads;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;

pub use reads::{DeviceDoor, StandingCode};

use crate::kernel::dashboards::UsageSums;

/// The routes of viewers.
pub(crate) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageSums: FromRef<S>,
    DeviceDoor: FromRef<S>,
{
    reads::router()
}
