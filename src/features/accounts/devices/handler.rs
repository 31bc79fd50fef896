//! `POST` and `GET /v1/devices`, and what is done to one of them.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::acts::{Devices, no_such_device};
use super::reply::{DevicesPage, RegisteredDevice, RenamedDevice, RevokedDevice, RotatedDevice};
use super::request::{DeviceChange, NewDevice};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::{NoParameters, Parameters};
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::keyed::{KeyHeader, KeyedEmpty, KeyedJson};
use crate::kernel::http::page::Page;
use crate::kernel::http::parameters::PageParameters;
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, NotFoundRefusal, QueryRefusal, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;

/// Register a device
///
/// Makes a device of the token's user and its token, which is shown once. A name that an active
/// device has is a conflict, and so is one device more than 1,000. If the answer is lost, a
/// repetition with the same `Idempotency-Key` gets the same token. Without a key the device exists;
/// rotate it, or register another name.
#[utoipa::path(
    post, path = "/v1/devices", operation_id = "register_device", tag = "accounts",
    params(KeyHeader),
    request_body = NewDevice,
    responses(
        (status = 201, description = "The device and its token.", body = RegisteredDevice),
        BodyRefusals, KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn register_device(
    viewer: Viewer,
    _: NoParameters,
    State(devices): State<Devices>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let device = NewDevice::parse(&body)?;
    let once = Once::new(request.by(viewer.actor()), RegisteredDevice::answer);
    let registered = devices.register(viewer.context(), viewer.actor(), viewer.user_id(), &device, once).await?;
    Ok(registered.answer()?.into_response())
}

/// List devices
///
/// The devices of the token's user, revoked ones included, with their last activity.
#[utoipa::path(
    get, path = "/v1/devices", operation_id = "list_devices", tag = "accounts",
    params(PageParameters),
    responses((status = 200, description = "A page.", body = DevicesPage), QueryRefusal, Refusals),
    security(("viewer" = [])),
)]
pub(super) async fn list_devices(
    viewer: Viewer,
    State(devices): State<Devices>,
    State(cursors): State<Cursors>,
    Parameters(parameters): Parameters,
) -> Result<Json<DevicesPage>, Problem> {
    let user_id = viewer.user_id();
    let list = Page::parse(&parameters)?.of(cursors, format!("GET /v1/devices {user_id}"));
    let devices = devices.list(viewer.context(), user_id, list.after()?, list.one_more()).await?;
    let (data, next_cursor) = list.cut(devices, |device| device.device_id)?;
    Ok(Json(DevicesPage { data, next_cursor }))
}

/// Rename a device
///
/// Gives a device of the token's user another name, be it active or revoked. A name that another active
/// device has is a conflict. Its tokens, its buckets and its id stay as they are. With `former_name` it is a
/// conflict too where the device is called something else by now.
#[utoipa::path(
    patch, path = "/v1/devices/{device_id}", operation_id = "rename_device", tag = "accounts",
    params(("device_id" = Uuid, Path, description = "As the list of devices has it."), KeyHeader),
    request_body = DeviceChange,
    responses(
        (status = 200, description = "The device under its name.", body = RenamedDevice),
        NotFoundRefusal, BodyRefusals, KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn rename_device(
    viewer: Viewer,
    _: NoParameters,
    State(devices): State<Devices>,
    Path(device_id): Path<String>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let change = DeviceChange::parse(&body)?;
    let whose = (viewer.user_id(), named_device(&device_id)?);
    let once = Once::new(request.by(viewer.actor()), RenamedDevice::answer);
    let renamed = devices.rename(viewer.context(), viewer.actor(), whose, &change, once).await?;
    Ok(renamed.answer()?.into_response())
}

/// Revoke a device
///
/// Its tokens are refused within ten seconds, for good. Its buckets stay. Its name may be given to
/// another device. Revoking it again changes nothing. There is no body.
#[utoipa::path(
    post, path = "/v1/devices/{device_id}/revoke", operation_id = "revoke_device", tag = "accounts",
    params(("device_id" = Uuid, Path, description = "As the list of devices has it."), KeyHeader),
    responses(
        (status = 200, description = "Since when it is revoked.", body = RevokedDevice),
        NotFoundRefusal, KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn revoke_device(
    viewer: Viewer,
    _: NoParameters,
    State(devices): State<Devices>,
    Path(device_id): Path<String>,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    let device_id = named_device(&device_id)?;
    let once = Once::new(request.by(viewer.actor()), RevokedDevice::answer);
    let revoked = devices.revoke(viewer.context(), viewer.actor(), viewer.user_id(), device_id, once).await?;
    Ok(revoked.answer()?.into_response())
}

/// Rotate a device's token
///
/// Issues a token that works at once. The device's other tokens work for ten minutes more, so that
/// nothing is lost while the new one is put in place. To rotate a revoked device is a conflict. If
/// the answer is lost, a repetition with the same `Idempotency-Key` gets the same token. Without a key
/// rotate again. There is no body.
#[utoipa::path(
    post, path = "/v1/devices/{device_id}/rotate", operation_id = "rotate_device", tag = "accounts",
    params(("device_id" = Uuid, Path, description = "As the list of devices has it."), KeyHeader),
    responses(
        (status = 201, description = "The new token.", body = RotatedDevice),
        NotFoundRefusal, KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn rotate_device(
    viewer: Viewer,
    _: NoParameters,
    State(devices): State<Devices>,
    Path(device_id): Path<String>,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    let device_id = named_device(&device_id)?;
    let once = Once::new(request.by(viewer.actor()), RotatedDevice::answer);
    let rotated = devices.rotate(viewer.context(), viewer.actor(), viewer.user_id(), device_id, once).await?;
    Ok(rotated.answer()?.into_response())
}

/// A text that is no id names no device either.
fn named_device(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| no_such_device())
}
