//! The routes of TokenTracker, from requests to answers in its words.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};

use super::reply::{TokenTrackerDevice, TokenTrackerOk, TokenTrackerPairing, TokenTrackerPolled, TokenTrackerReceipt};
use super::request::{
    self, TOKENTRACKER, TokenTrackerDeviceRequest, TokenTrackerNewcomer, TokenTrackerPoll, TokenTrackerReport,
    TokenTrackerTelemetry,
};
use crate::kernel::access::{Device, Granted, Viewer};
use crate::kernel::call::RequestContext;
use crate::kernel::dialect::{Enrolment, Polled, take};
use crate::kernel::http::body::JsonBytes;
use crate::kernel::http::manner::Verbatim;
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::http::refusals::{BodyRefusals, ConflictRefusal, Refusals};
use crate::kernel::problem::Problem;
use crate::kernel::usage::intake::{Begun, Intake};

/// Take a report of TokenTracker
///
/// Snapshots of half hours, as of the moment at which the request began to arrive. A row that cannot be taken is `skipped`,
/// and the others are durable with the answer. The same report again changes nothing.
#[utoipa::path(
    post, path = "/functions/tokentracker-ingest", operation_id = "tokentracker_ingest", tag = "trackers",
    request_body = TokenTrackerReport,
    responses((status = 200, description = "How many rows were taken.", body = TokenTrackerReceipt), BodyRefusals, Refusals),
    security(("device" = [])),
)]
pub(super) async fn tokentracker_ingest(
    device: Device,
    begun: Begun,
    intake: Intake,
    State(enrolment): State<Enrolment>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let taken = take(&intake, &enrolment, &device, begun, (&TOKENTRACKER, &body)).await?;
    Ok(Granted::told(taken.granted, Json(TokenTrackerReceipt::from(&taken))))
}

/// Issue a device's token to TokenTracker
///
/// The device of that machine, or a new one of the viewer's user. A name that is in use gets a number.
#[utoipa::path(
    post, path = "/functions/tokentracker-device-token-issue", operation_id = "tokentracker_device_token_issue",
    tag = "trackers",
    request_body = TokenTrackerDeviceRequest,
    responses(
        (status = 200, description = "The device and its token.", body = TokenTrackerDevice),
        ConflictRefusal, BodyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn tokentracker_device_token_issue(
    viewer: Viewer,
    State(enrolment): State<Enrolment>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let newcomer = request::device(&body)?;
    let enrolled = enrolment.issue(viewer.context().clone(), viewer.actor(), viewer.user_id(), newcomer).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(TokenTrackerDevice::from(enrolled))).into_response())
}

/// Begin to pair TokenTracker
///
/// The tracker shows the code, and its owner approves it with `POST /v1/pairings`. Nothing is stored until then.
#[utoipa::path(
    post, path = "/functions/tokentracker-device-flow-authorize", operation_id = "tokentracker_device_flow_authorize",
    tag = "trackers",
    request_body = TokenTrackerNewcomer,
    responses((status = 200, description = "A code to show.", body = TokenTrackerPairing), BodyRefusals, Refusals),
    security(()),
)]
pub(super) async fn tokentracker_device_flow_authorize(
    State(enrolment): State<Enrolment>,
    State(public_url): State<PublicUrl>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let pairing = enrolment.begin_pairing(&request::newcomer(&body)?)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(TokenTrackerPairing::of(pairing, public_url.as_str()))).into_response())
}

/// Ask whether TokenTracker was paired
///
/// 200 with `pending`, or with `approved` and a token, which is the same one again where the answer was lost. What nobody
/// has approved in time is 410 with `{"status":"expired"}`, and a code that was never given is 404 with
/// `{"status":"unknown"}`: the tracker reads the word.
#[utoipa::path(
    post, path = "/functions/tokentracker-device-flow-poll", operation_id = "tokentracker_device_flow_poll",
    tag = "trackers",
    request_body = TokenTrackerPoll,
    responses(
        (status = 200, description = "A token, or that there is none yet.", body = TokenTrackerPolled),
        (status = 404, description = "Nobody was given this code.", body = TokenTrackerPolled),
        (status = 410, description = "Nobody has approved it in time.", body = TokenTrackerPolled),
        BodyRefusals, Refusals,
    ),
    security(()),
)]
pub(super) async fn tokentracker_device_flow_poll(
    State(enrolment): State<Enrolment>,
    Extension(context): Extension<RequestContext>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let polled = enrolment.poll_pairing(context, request::device_code(&body)?).await?;
    let (status, body) = match &polled {
        Polled::Pending => (StatusCode::OK, TokenTrackerPolled::without_device("pending")),
        Polled::Paired(paired) => (StatusCode::OK, TokenTrackerPolled::from(paired)),
        Polled::Expired => (StatusCode::GONE, TokenTrackerPolled::without_device("expired")),
        Polled::Unknown => (StatusCode::NOT_FOUND, TokenTrackerPolled::without_device("unknown")),
    };
    Ok((status, Extension(Verbatim), [(CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Hear what TokenTracker tells its maker
///
/// It is answered, so that the tracker does not ask again, and is not read.
#[utoipa::path(
    post, path = "/functions/tokentracker-telemetry", operation_id = "tokentracker_telemetry", tag = "trackers",
    request_body = TokenTrackerTelemetry,
    responses((status = 200, description = "It came.", body = TokenTrackerOk), BodyRefusals, Refusals),
    security(()),
)]
pub(super) async fn tokentracker_telemetry() -> Json<TokenTrackerOk> {
    Json(TokenTrackerOk::yes())
}
