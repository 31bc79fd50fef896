//! Speaks as the local server of TokenTracker does, so that its dashboard works here behind a proxy that adds a viewer's
//! token.
//!
//! | part | answers | who |
//! |---|---|---|
//! | `reads` | what the dashboard asks | viewers |

mod reads;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;

use crate::kernel::dashboards::UsageSums;

/// The routes of viewers.
pub(crate) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageSums: FromRef<S>,
{
    reads::router()
}
