//! What the dashboard of TokenTracker asks: sums of days, hours and months, a heatmap, and models.
//!
//! Counts are numbers, and cache writes are counted apart from the input. `conversation_count` is 0: prompts are not counted
//! here. Rows have the tokens of each model, and are there only where there is usage. Costs are zero.

mod handler;
mod heatmap;
mod reply;
mod request;
mod rows;

use axum::extract::FromRef;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::kernel::dashboards::{UsageSums, saying_freshness};

/// The routes.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageSums: FromRef<S>,
{
    let reads: [UtoipaMethodRouter<S>; 6] = [
        routes!(handler::tokentracker_usage_summary),
        routes!(handler::tokentracker_usage_daily),
        routes!(handler::tokentracker_usage_hourly),
        routes!(handler::tokentracker_usage_monthly),
        routes!(handler::tokentracker_usage_heatmap),
        routes!(handler::tokentracker_usage_model_breakdown),
    ];
    let nothings = OpenApiRouter::new()
        .routes(routes!(handler::tokentracker_user_status))
        .routes(routes!(handler::tokentracker_usage_limits))
        .routes(routes!(handler::tokentracker_telemetry_pref))
        .routes(routes!(handler::tokentracker_project_usage_summary));
    reads.into_iter().fold(nothings, |router, routes| router.routes(saying_freshness(routes)))
}
