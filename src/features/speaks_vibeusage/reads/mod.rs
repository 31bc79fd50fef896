//! What the dashboard of vibeusage asks: sums of days, half hours and months, a heatmap, models, and a link code.
//!
//! Counts are texts, because they may exceed what a browser keeps exactly. Its words are fewer than ours: input
//! and cache writes are its input, cache reads its cached input, output holds reasoning, and what is unclassified is in the
//! total only. Its billable total is the total. Costs are zero, and so are the rates that are said to have made them.

mod doors;
mod handler;
mod levels;
mod reply;
mod request;
mod slots;

use axum::extract::FromRef;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

pub use doors::{DeviceDoor, StandingCode};

use super::names::by_both_names;
use crate::kernel::dashboards::{UsageSums, saying_freshness};

/// The routes.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    UsageSums: FromRef<S>,
    DeviceDoor: FromRef<S>,
{
    let reads: [UtoipaMethodRouter<S>; 6] = [
        routes!(handler::vibeusage_usage_summary),
        routes!(handler::vibeusage_usage_daily),
        routes!(handler::vibeusage_usage_hourly),
        routes!(handler::vibeusage_usage_monthly),
        routes!(handler::vibeusage_usage_heatmap),
        routes!(handler::vibeusage_usage_model_breakdown),
    ];
    let reads = reads.map(|routes| by_both_names(saying_freshness(routes)));
    let link_code = by_both_names(routes!(handler::vibeusage_link_code_init));
    reads.into_iter().fold(link_code, OpenApiRouter::merge)
}
