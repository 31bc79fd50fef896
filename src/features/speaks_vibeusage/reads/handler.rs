//! The routes of the dashboard: a query in, sums out.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use utoipa::ToSchema;

use super::doors::DeviceDoor;
use super::reply::{
    VibeusageDaily, VibeusageHeatmap, VibeusageHourly, VibeusageLinkCode, VibeusageModelBreakdown, VibeusageMonthly,
    VibeusageSummary, asked_model,
};
use super::request;
use crate::kernel::access::Viewer;
use crate::kernel::dashboards::{
    DayParameter, MonthsParameters, RangeParameters, UsageSums, WeeksParameters, ZoneAndFilters,
};
use crate::kernel::http::body::{JSON, JsonBytes, NoParameters, Parameters};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::refusals::{BodyRefusals, QueryRefusal, Refusals};
use crate::kernel::problem::Problem;

/// Sums of some days, as vibeusage has them
///
/// What was used on some local days, in all. Counts are texts. Days come from the rollup, and those of another zone than
/// the user's own from buckets.
#[utoipa::path(
    get, path = "/functions/vibeusage-usage-summary", operation_id = "vibeusage_usage_summary", tag = "dashboards",
    params(RangeParameters, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = VibeusageSummary), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn vibeusage_usage_summary(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let question = request::summary(parameters)?;
    let model = asked_model(&question);
    let answered = sums.ask(viewer.context(), viewer.user_id(), question).await?;
    answered.reply(|[range]| VibeusageSummary::of(&range, model))
}

/// Sums by day, as vibeusage has them
///
/// What was used on each of some local days, those without usage included. Counts are texts.
#[utoipa::path(
    get, path = "/functions/vibeusage-usage-daily", operation_id = "vibeusage_usage_daily", tag = "dashboards",
    params(RangeParameters, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = VibeusageDaily), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn vibeusage_usage_daily(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::daily(parameters)?).await?;
    answered.reply(|[range]| VibeusageDaily::of(&range))
}

/// Sums by half hour, as vibeusage has them
///
/// What was used in each of the 48 half hours of a local day, from buckets. Where clocks are set back, a half hour of the
/// clock holds both that have its name; where they are set forward, those that do not come are zero.
#[utoipa::path(
    get, path = "/functions/vibeusage-usage-hourly", operation_id = "vibeusage_usage_hourly", tag = "dashboards",
    params(DayParameter, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = VibeusageHourly), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn vibeusage_usage_hourly(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    State(devices): State<DeviceDoor>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::hourly(parameters)?).await?;
    let heard = devices.last_heard(&viewer).await?;
    answered.reply(|[day]| VibeusageHourly::of(&day, heard))
}

/// Sums by month, as vibeusage has them
///
/// What was used in each of some calendar months up to a day, those without usage included. Counts are texts.
#[utoipa::path(
    get, path = "/functions/vibeusage-usage-monthly", operation_id = "vibeusage_usage_monthly", tag = "dashboards",
    params(MonthsParameters, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = VibeusageMonthly), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn vibeusage_usage_monthly(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::monthly(parameters)?).await?;
    answered.reply(|[range]| VibeusageMonthly::of(&range))
}

/// A heatmap, as vibeusage has it
///
/// Every day of some weeks up to a day, with a level from 0 to 4. Of n days with usage in ascending order, counted from 0,
/// the thresholds are those at ⌊(n − 1)·q⌋ for q = 0.5, 0.75 and 0.9; a day with usage has 1 more than the number of
/// thresholds that it exceeds.
#[utoipa::path(
    get, path = "/functions/vibeusage-usage-heatmap", operation_id = "vibeusage_usage_heatmap", tag = "dashboards",
    params(WeeksParameters, ZoneAndFilters),
    responses((status = 200, description = "The heatmap.", body = VibeusageHeatmap), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn vibeusage_usage_heatmap(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let (question, start) = request::heatmap(parameters)?;
    let answered = sums.ask(viewer.context(), viewer.user_id(), question).await?;
    answered.reply(|[range]| VibeusageHeatmap::of(&range, start))
}

/// Sums by tool and model, as vibeusage has them
///
/// What was used with each tool and each of its models on some local days. Counts are texts.
#[utoipa::path(
    get, path = "/functions/vibeusage-usage-model-breakdown", operation_id = "vibeusage_usage_model_breakdown",
    tag = "dashboards",
    params(RangeParameters, ZoneAndFilters),
    responses((status = 200, description = "The sums.", body = VibeusageModelBreakdown), Refusals, QueryRefusal),
    security(("viewer" = []))
)]
pub async fn vibeusage_usage_model_breakdown(
    viewer: Viewer,
    State(sums): State<UsageSums>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let answered = sums.ask(viewer.context(), viewer.user_id(), request::model_breakdown(parameters)?).await?;
    answered.reply(|[range]| VibeusageModelBreakdown::of(range))
}

/// What says nothing more than the path does.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VibeusageNothing)]
pub struct VibeusageNothing {}

/// Give the link code that stands, as vibeusage does
///
/// A code for one new device of the token's user. It is the same one for half an hour, until it is used, however often it is
/// asked for, and can be used for half an hour at least.
#[utoipa::path(
    post, path = "/functions/vibeusage-link-code-init", operation_id = "vibeusage_link_code_init", tag = "dashboards",
    request_body = VibeusageNothing,
    responses((status = 200, description = "The code.", body = VibeusageLinkCode), BodyRefusals, Refusals),
    security(("viewer" = []))
)]
pub async fn vibeusage_link_code_init(
    viewer: Viewer,
    _: NoParameters,
    State(devices): State<DeviceDoor>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    FieldReader::of_body(&body, &[])?.finish(Some(()))?;
    let standing = devices.standing_code(&viewer).await?;
    let reply = VibeusageLinkCode::of(standing.code, standing.expires_at);
    let body = serde_json::to_vec(&reply).map_err(Problem::internal)?;
    let head = [(CONTENT_TYPE, HeaderValue::from_static(JSON)), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((head, body).into_response())
}
