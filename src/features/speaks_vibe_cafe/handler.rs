//! The routes of vibe-usage, from requests to answers in its words.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use chrono::TimeDelta;
use futures_util::FutureExt as _;
use serde_json::json;

use super::reply::{
    VibeCafeDeletion, VibeCafePairing, VibeCafePolled, VibeCafeReceipt, VibeCafeSettings, VibeCafeUsage,
};
use super::request::{self, VIBE_CAFE, VibeCafeNewcomer, VibeCafePoll, VibeCafeReport};
use super::store;
use crate::kernel::access::{Device, Granted, Reader};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pools};
use crate::kernel::dialect::{Enrolment, Newcomer, take};
use crate::kernel::http::body::{JsonBytes, Parameters};
use crate::kernel::http::public_url::PublicUrl;
use crate::kernel::http::refusals::{BodyRefusals, QueryRefusal, Refusals};
use crate::kernel::operations::audit::{Act, record_act};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::erasure;
use crate::kernel::usage::intake::{Begun, Intake};
use crate::kernel::usage::outbox::ErasedScope;

/// More buckets than this are not answered at once: 90 days of somebody who uses ten models all day have 43,200.
const MOST_BUCKETS: i64 = 50_000;

/// What vibe-usage may upload
///
/// It asks before every sync, and uploads nothing unless it is told. Projects are not kept, so that it adds them up itself.
#[utoipa::path(
    get, path = "/api/usage/settings", operation_id = "vibe_cafe_settings", tag = "trackers",
    responses((status = 200, description = "The same for everyone.", body = VibeCafeSettings), Refusals),
    security(("device" = [])),
)]
pub(super) async fn vibe_cafe_settings(_device: Device) -> Json<VibeCafeSettings> {
    Json(VibeCafeSettings::of_everyone())
}

/// Take a report of vibe-usage
///
/// Snapshots of half hours, as of the moment at which the request began to arrive. A row that cannot be taken is counted in
/// `dropped`, and the others are durable with the answer. The same report again changes nothing.
#[utoipa::path(
    post, path = "/api/usage/ingest", operation_id = "vibe_cafe_ingest", tag = "trackers",
    request_body = VibeCafeReport,
    responses((status = 200, description = "What became of the rows.", body = VibeCafeReceipt), BodyRefusals, Refusals),
    security(("device" = [])),
)]
pub(super) async fn vibe_cafe_ingest(
    device: Device,
    begun: Begun,
    intake: Intake,
    State(enrolment): State<Enrolment>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let taken = take(&intake, &enrolment, &device, begun, (&VIBE_CAFE, &body)).await?;
    Ok(Granted::told(taken.granted, Json(VibeCafeReceipt::from(taken))))
}

/// Take back what a device sent to us
///
/// Deletes the usage of the token's device for good, whatever host name the query has. Reports of it that began before are
/// refused from then on. Sent again afterwards, it is taken again.
#[utoipa::path(
    delete, path = "/api/usage/ingest", operation_id = "vibe_cafe_delete", tag = "trackers",
    params(("hostname" = Option<String>, Query, description = "Not read: the token says which device it is.")),
    responses((status = 200, description = "How much went.", body = VibeCafeDeletion), Refusals),
    security(("device" = [])),
)]
pub(super) async fn vibe_cafe_delete(
    device: Device,
    State(pools): State<Pools>,
    State(clock): State<Clock>,
) -> Result<Json<VibeCafeDeletion>, Problem> {
    let (context, user_id) = (device.context(), device.user_id());
    let scope =
        ErasedScope { user_id, device_id: Some(device.device_id()), source: None, first_hour: None, last_hour: None };
    let mut tx = pools.read.begin(context, Access::Users(&[user_id]), Mode::ReadWrite).await?;
    let (erased, erased_at) = erasure::erase(&mut tx, &scope, &clock, context).await?;
    let details = json!({ "device_id": device.device_id(), "erased_at": erased_at, "buckets": erased.buckets });
    let act = Act { action: "usage.erase", subject: &user_id.to_string(), reason: None, details: &details };
    record_act(&mut tx, context.request_id, device.actor(), act).await?;
    tx.commit().await?;
    Ok(Json(VibeCafeDeletion::of(erased.buckets)))
}

/// Show usage to vibe-usage and its apps
///
/// The buckets of the last days: with a device's token its own, with a viewer's token all of the user's.
#[utoipa::path(
    get, path = "/api/usage", operation_id = "vibe_cafe_usage", tag = "trackers",
    params(
        ("days" = Option<u16>, Query, description = "How many days back.", minimum = 1, maximum = 90, example = 30),
        ("bucketsOnly" = Option<String>, Query, description = "Not read: there are no sessions."),
    ),
    responses((status = 200, description = "The usage.", body = VibeCafeUsage), QueryRefusal, Refusals),
    security(("device" = []), ("viewer" = [])),
)]
pub(super) async fn vibe_cafe_usage(
    reader: Reader,
    State(pools): State<Pools>,
    State(clock): State<Clock>,
    Parameters(parameters): Parameters,
) -> Result<Json<VibeCafeUsage>, Problem> {
    let from = clock.now() - TimeDelta::days(request::days(&parameters)?.into());
    let (user_id, device_id) = (reader.user_id(), reader.device_id());
    let reads = pools.reads();
    let read = reads.read(reader.context(), user_id, Mode::Snapshot, |tx| {
        let rows = async move {
            let owner = store::find_owner(tx, user_id, device_id).await?;
            Ok((owner, store::list_usage(tx, user_id, device_id, from, MOST_BUCKETS + 1).await?))
        };
        rows.boxed()
    });
    let (owner, rows) = read.await?;
    if i64::try_from(rows.len()).is_ok_and(|rows| rows > MOST_BUCKETS) {
        let detail = format!("These days have more than {MOST_BUCKETS} buckets; ask for fewer days.");
        return Err(Problem::new(Code::BatchTooLarge, detail));
    }
    Ok(Json(VibeCafeUsage::of(owner, rows)))
}

/// Begin to pair vibe-usage
///
/// The tracker shows the code, and its owner approves it with `POST /v1/pairings`. Nothing is stored until then.
#[utoipa::path(
    post, path = "/api/usage/device/code", operation_id = "vibe_cafe_device_code", tag = "trackers",
    request_body = VibeCafeNewcomer,
    responses((status = 200, description = "A code to show.", body = VibeCafePairing), BodyRefusals, Refusals),
    security(()),
)]
pub(super) async fn vibe_cafe_device_code(
    State(enrolment): State<Enrolment>,
    State(public_url): State<PublicUrl>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let newcomer: Newcomer = request::newcomer(&body)?;
    let pairing = enrolment.begin_pairing(&newcomer)?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(VibeCafePairing::of(pairing, public_url.as_str()))).into_response())
}

/// Ask whether vibe-usage was paired
///
/// Always 200, because the tracker takes everything else for a passing fault. Asked again, it gets the same key.
#[utoipa::path(
    post, path = "/api/usage/device/poll", operation_id = "vibe_cafe_device_poll", tag = "trackers",
    request_body = VibeCafePoll,
    responses((status = 200, description = "A key, or why there is none.", body = VibeCafePolled), BodyRefusals, Refusals),
    security(()),
)]
pub(super) async fn vibe_cafe_device_poll(
    State(enrolment): State<Enrolment>,
    State(public_url): State<PublicUrl>,
    Extension(context): Extension<RequestContext>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let polled = enrolment.poll_pairing(context, request::device_code(&body)?).await?;
    Ok(([(CACHE_CONTROL, "no-store")], Json(VibeCafePolled::of(&polled, public_url.as_str()))).into_response())
}
