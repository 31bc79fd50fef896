//! The routes of the dashboard: a query in, sums out.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::heatmap::TokentrackerHeatmap;
use super::reply::{
    TokentrackerDaily, TokentrackerHourly, TokentrackerModelBreakdown, TokentrackerMonthly, TokentrackerSummary,
};
use super::request;
use crate::kernel::access::Viewer;
use crate::kernel::dashboards::{
    DayParameter, DevicesParameter, MonthsOrDaysParameters, RangeParameters, RollingParameter, UsageSums,
    WeeksParameters, ZoneAndFilters, dashboard_reply,
};
use crate::kernel::http::body::Parameters;
use crate::kernel::http::refusals::{QueryRefusal, Refusals};
use crate::kernel::problem::Problem;

/// Sums of some days, as TokenTracker has them
///
/// What was used on some local days, in all, and in the last 7 and 30 days where `rolling=1` asks for these. Counts are
/// numbers.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-summary", operation_id = "tokentracker_usage_summary", tag = "dashboards",
    params(RangeParameters, RollingParameter, DevicesParameter, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = TokentrackerSummary), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_summary(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::summary(parameters)?).await?;
    let freshness = answered.freshness;
    let [range, rest @ ..] = answered.parts.as_slice() else { return Err(Problem::internal("nothing was answered")) };
    dashboard_reply(freshness, &TokentrackerSummary::of(range, rest.first())?)
}

/// Sums by day, as TokenTracker has them
///
/// What was used on each of some local days that something was reported of, with the tokens of each model.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-daily", operation_id = "tokentracker_usage_daily", tag = "dashboards",
    params(RangeParameters, DevicesParameter, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = TokentrackerDaily), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_daily(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::daily(parameters)?).await?;
    answered.reply(|[range]| TokentrackerDaily::of(&range))
}

/// Sums by hour, as TokenTracker has them
///
/// What was used in each hour of a local day that something was reported of, from buckets. Where clocks are set back, an hour
/// of the clock holds both that have its name.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-hourly", operation_id = "tokentracker_usage_hourly", tag = "dashboards",
    params(DayParameter, DevicesParameter, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = TokentrackerHourly), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_hourly(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::hourly(parameters)?).await?;
    answered.reply(|[range]| TokentrackerHourly::of(range))
}

/// Sums by month, as TokenTracker has them
///
/// What was used in each of some calendar months that something was reported of, with the tokens of each model.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-monthly", operation_id = "tokentracker_usage_monthly", tag = "dashboards",
    params(MonthsOrDaysParameters, DevicesParameter, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = TokentrackerMonthly), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_monthly(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::monthly(parameters)?).await?;
    answered.reply(|[range]| TokentrackerMonthly::of(&range))
}

/// A heatmap, as TokenTracker has it
///
/// Every day of some weeks up to a day, with a level from 0 to 4: the quarter of the greatest of these days that it reaches
/// into.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-heatmap", operation_id = "tokentracker_usage_heatmap", tag = "dashboards",
    params(WeeksParameters, DevicesParameter, ZoneAndFilters),
    responses((status = 200, description = "The heatmap.", body = TokentrackerHeatmap), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_heatmap(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let (question, start) = request::heatmap(parameters)?;
    let answered = sums.ask(viewer.context(), viewer.user_id(), question).await?;
    answered.reply(|[range]| TokentrackerHeatmap::of(&range, start))
}

/// Sums by tool and model, as TokenTracker has them
///
/// What was used with each tool and each of its models on some local days. Counts are numbers.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-model-breakdown", operation_id = "tokentracker_usage_model_breakdown", tag = "dashboards",
    params(RangeParameters, DevicesParameter, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = TokentrackerModelBreakdown), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_model_breakdown(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::model_breakdown(parameters)?).await?;
    let today = answered.today;
    answered.reply(|[range]| TokentrackerModelBreakdown::of(range, today))
}

/// An object without members.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerNothing {}

/// The standing of the user, as TokenTracker asks for it
///
/// Always an empty object: there are no plans to pay for here.
#[utoipa::path(
    get, path = "/functions/tokentracker-user-status", operation_id = "tokentracker_user_status", tag = "dashboards",
    responses((status = 200, description = "An empty object.", body = TokentrackerNothing), Refusals),
    security(("viewer" = []))
)]
pub async fn tokentracker_user_status(_: Viewer) -> Json<TokentrackerNothing> {
    Json(TokentrackerNothing {})
}

/// The limits of tools, as TokenTracker asks for it
///
/// Always an empty object: what tools allow is known on their devices only.
#[utoipa::path(
    get, path = "/functions/tokentracker-usage-limits", operation_id = "tokentracker_usage_limits", tag = "dashboards",
    responses((status = 200, description = "An empty object.", body = TokentrackerNothing), Refusals),
    security(("viewer" = []))
)]
pub async fn tokentracker_usage_limits(_: Viewer) -> Json<TokentrackerNothing> {
    Json(TokentrackerNothing {})
}

/// What the user says of telemetry, as TokenTracker asks for it
///
/// Always an empty object: nothing is kept.
#[utoipa::path(
    get, path = "/functions/tokentracker-telemetry-pref", operation_id = "tokentracker_telemetry_pref", tag = "dashboards",
    responses((status = 200, description = "An empty object.", body = TokentrackerNothing), Refusals),
    security(("viewer" = []))
)]
pub async fn tokentracker_telemetry_pref(_: Viewer) -> Json<TokentrackerNothing> {
    Json(TokentrackerNothing {})
}

/// Sums by project, as TokenTracker asks for it
///
/// Always an empty object: projects are not known here, so that every parameter is as good as none.
#[utoipa::path(
    get, path = "/functions/tokentracker-project-usage-summary", operation_id = "tokentracker_project_usage_summary", tag = "dashboards",
    responses((status = 200, description = "An empty object.", body = TokentrackerNothing), Refusals),
    security(("viewer" = []))
)]
pub async fn tokentracker_project_usage_summary(_: Viewer) -> Json<TokentrackerNothing> {
    Json(TokentrackerNothing {})
}
