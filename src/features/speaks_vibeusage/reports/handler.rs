//! The routes of vibeusage's tracker.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::reply::{VibeUsageDevice, VibeUsagePong, VibeUsageReceipt};
use super::request::{self, VIBEUSAGE, VibeUsageExchange, VibeUsageNewcomer, VibeUsagePing, VibeUsageReport};
use crate::kernel::access::{Device, Granted, Viewer};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::dialect::{Enrolled, Enrolment, take};
use crate::kernel::http::body::JsonBytes;
use crate::kernel::http::refusals::{BodyRefusals, ConflictRefusal, Refusals};
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::{Begun, Intake};

/// Take a report of vibeusage
///
/// Snapshots of half hours, as of the moment at which the request began to arrive. A row that cannot be taken is `skipped`,
/// and the others are durable with the answer. The same report again changes nothing.
#[utoipa::path(
    post, path = "/functions/vibeusage-ingest", operation_id = "vibeusage_ingest", tag = "trackers",
    request_body = VibeUsageReport,
    responses((status = 200, description = "How many rows were taken.", body = VibeUsageReceipt), BodyRefusals, Refusals),
    security(("device" = [])),
)]
pub(super) async fn vibeusage_ingest(
    device: Device,
    begun: Begun,
    intake: Intake,
    State(enrolment): State<Enrolment>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let taken = take(&intake, &enrolment, &device, begun, (&VIBEUSAGE, &body)).await?;
    Ok(Granted::told(taken.granted, Json(VibeUsageReceipt::from(&taken))))
}

/// Take a sign of life of vibeusage
///
/// The tracker sends one where it has nothing to report.
#[utoipa::path(
    post, path = "/functions/vibeusage-sync-ping", operation_id = "vibeusage_sync_ping", tag = "trackers",
    request_body = VibeUsagePing,
    responses((status = 200, description = "It was heard.", body = VibeUsagePong), BodyRefusals, Refusals),
    security(("device" = [])),
)]
pub(super) async fn vibeusage_sync_ping(
    device: Device,
    intake: Intake,
    State(clock): State<Clock>,
) -> Json<VibeUsagePong> {
    intake.heard().note(&device, VIBEUSAGE.name);
    Json(VibeUsagePong::at(clock.now()))
}

/// Issue a device's token to vibeusage
///
/// Makes a device of the viewer's user. A name that is in use gets a number. The same request again makes another device.
#[utoipa::path(
    post, path = "/functions/vibeusage-device-token-issue", operation_id = "vibeusage_device_token_issue",
    tag = "trackers",
    request_body = VibeUsageNewcomer,
    responses(
        (status = 200, description = "The device and its token.", body = VibeUsageDevice),
        ConflictRefusal, BodyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn vibeusage_device_token_issue(
    viewer: Viewer,
    State(enrolment): State<Enrolment>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let newcomer = request::newcomer(&body)?;
    let enrolled = enrolment.issue(viewer.context().clone(), viewer.actor(), viewer.user_id(), newcomer).await?;
    Ok(shown(enrolled))
}

/// Exchange a link code for vibeusage
///
/// Turns a code of `POST /v1/link-codes` into a device and its token, once. The same `request_id` gets the same token again.
/// A name that is in use gets a number.
#[utoipa::path(
    post, path = "/functions/vibeusage-link-code-exchange", operation_id = "vibeusage_link_code_exchange",
    tag = "trackers",
    request_body = VibeUsageExchange,
    responses((status = 200, description = "The device and its token.", body = VibeUsageDevice), BodyRefusals, Refusals),
    security(()),
)]
pub(super) async fn vibeusage_link_code_exchange(
    State(enrolment): State<Enrolment>,
    Extension(context): Extension<RequestContext>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let (code, request_id, newcomer) = request::exchange(&body)?;
    Ok(shown(enrolment.exchange(context, code, request_id, newcomer).await?))
}

fn shown(enrolled: Enrolled) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(VibeUsageDevice::from(enrolled))).into_response()
}
