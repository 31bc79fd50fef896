//! The routes of accounts: extract, parse, let the directory do it, respond.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::IntoResponses;
use utoipa::openapi::RefOr;
use uuid::Uuid;

use super::devices::no_such_device;
use super::directory::{Directory, ROTATION_OVERLAP_S};
use super::reply::{
    CreatedUser, Device, DevicesPage, Erasure, MadeLinkCode, Profile, RegisteredDevice, RevokedDevice, RotatedDevice,
    User, UsersPage,
};
use super::request::{self, Exchange, NewDevice, NewUser, ProfileChange};
use super::store::ProfileRow;
use crate::kernel::access::{Operator, Viewer};
use crate::kernel::bucket::Source;
use crate::kernel::call::RequestContext;
use crate::kernel::http::body::{JsonBytes, NoParameters, Parameters};
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::page::Page;
use crate::kernel::http::refusals::{Refusals, described};
use crate::kernel::problem::{Problem, ProblemBody};

/// The refusals of every route with a body.
struct BodyRefusals;

impl IntoResponses for BodyRefusals {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        described([
            (StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 1 MiB, decompressed."),
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "Neither plain, gzip nor zstd JSON."),
            (
                StatusCode::UNPROCESSABLE_ENTITY,
                "Not acceptable: `errors` lists every violation, and nothing was changed.",
            ),
        ])
    }
}

/// An answer that holds a secret, or changes what secrets are worth: nobody keeps it.
fn unkept(status: StatusCode, reply: impl Serialize) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(reply)).into_response()
}

/// Who am I?
///
/// The profile of the token's user.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "get_me", tag = "accounts",
    responses(
        (status = 200, description = "The profile.", body = Profile),
        (status = 422, description = "There are no parameters.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn get_me(
    viewer: Viewer,
    _: NoParameters,
    State(directory): State<Directory>,
) -> Result<Json<Profile>, Problem> {
    let profile = directory.profile(viewer.context(), viewer.user_id()).await?;
    Ok(Json(profile_reply(viewer.user_id(), profile)))
}

/// Change the time zone
///
/// Stores the wanted IANA time zone. The rollup is rebuilt in it within seconds; until then `/v1/rollups` serves and
/// names the old one, with `pending`.
#[utoipa::path(
    patch, path = "/v1/me", operation_id = "patch_me", tag = "accounts",
    request_body = ProfileChange,
    responses((status = 200, description = "The profile with the wanted zone.", body = Profile), BodyRefusals, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn patch_me(
    viewer: Viewer,
    _: NoParameters,
    State(directory): State<Directory>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<Profile>, Problem> {
    let change = ProfileChange::parse(&body)?;
    let directory = directory.acting(viewer.actor());
    let profile = directory.change_time_zone(viewer.context(), viewer.user_id(), &change.time_zone).await?;
    Ok(Json(profile_reply(viewer.user_id(), profile)))
}

fn profile_reply(user_id: Uuid, profile: ProfileRow) -> Profile {
    let ProfileRow { name, time_zone, created_at } = profile;
    Profile { user_id, name, time_zone, created_at }
}

/// Delete my usage
///
/// Deletes the user's buckets of a device, a tool or some local days, for good; everything that is given must match. The
/// rollup follows within seconds. Snapshots of the scope that were taken before are refused as `erased` from then on, so
/// that a retry brings nothing back. Asked again, it deletes what has come since. With `dry_run=true` it only counts.
#[utoipa::path(
    delete, path = "/v1/me/usage", operation_id = "erase_usage", tag = "accounts",
    params(
        ("device" = Option<Uuid>, Query, description = "Only of this device."),
        ("source" = Option<String>, Query, description = "Only of this tool."),
        ("from" = Option<NaiveDate>, Query, description = "From this local day on, in the zone of `/v1/me`."),
        ("to" = Option<NaiveDate>, Query, description = "Up to this local day, inclusive."),
        ("everything" = Option<bool>, Query, description = "`true` where nothing else is given: all of it."),
        ("dry_run" = Option<bool>, Query, description = "`true`: only say what would be deleted."),
    ),
    responses(
        (status = 200, description = "What was deleted, or would be.", body = Erasure),
        (status = 409, description = "More than 100 separate deletions: delete a wider scope.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The query is not acceptable: see `errors`. Nothing was deleted.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn erase_usage(
    viewer: Viewer,
    State(directory): State<Directory>,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let asked = request::Erasure::parse(&parameters)?;
    let directory = directory.acting(viewer.actor());
    let (erased, erased_at) = directory.erase(viewer.context(), viewer.user_id(), &asked).await?;
    let reply = Erasure {
        dry_run: asked.dry_run,
        erased_at,
        device: asked.device,
        source: asked.source.map(Source::as_str),
        from: asked.from,
        to: asked.to,
        buckets: erased.buckets,
        first_hour: erased.first_hour,
        last_hour: erased.last_hour,
    };
    Ok(unkept(StatusCode::OK, reply))
}

/// Register a device
///
/// Makes a device of the token's user and its token, which is shown once. If the answer is lost, the device exists:
/// rotate it, or register another name.
#[utoipa::path(
    post, path = "/v1/devices", operation_id = "register_device", tag = "accounts",
    request_body = NewDevice,
    responses(
        (status = 201, description = "The device and its token.", body = RegisteredDevice),
        (status = 409, description = "An active device has this name, or there are 1,000 already.",
            body = ProblemBody, content_type = "application/problem+json"),
        BodyRefusals, Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn register_device(
    viewer: Viewer,
    _: NoParameters,
    State(directory): State<Directory>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let NewDevice { name, platform } = NewDevice::parse(&body)?;
    let directory = directory.acting(viewer.actor());
    let device = directory.register_device(viewer.context(), viewer.user_id(), &name, &platform).await?;
    Ok(unkept(StatusCode::CREATED, RegisteredDevice { device_id: device.device_id, token: device.token }))
}

/// List devices
///
/// The devices of the token's user, revoked ones included, with their last activity.
#[utoipa::path(
    get, path = "/v1/devices", operation_id = "list_devices", tag = "accounts",
    params(
        ("limit" = Option<usize>, Query, description = "Entries of a page: 1 to 1000, by default 100."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = DevicesPage),
        (status = 422, description = "The query is not acceptable: see `errors`.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list_devices(
    viewer: Viewer,
    State(directory): State<Directory>,
    State(cursors): State<Cursors>,
    Parameters(parameters): Parameters,
) -> Result<Json<DevicesPage>, Problem> {
    let (context, user_id) = (viewer.context(), viewer.user_id());
    let list = Page::parse(&parameters)?.of(cursors, format!("GET /v1/devices {user_id}"));
    let devices = directory.list_devices(context, user_id, list.after()?, list.one_more()).await?;
    let (devices, next_cursor) = list.cut(devices, |device| device.device_id)?;
    Ok(Json(DevicesPage { data: devices.into_iter().map(Device::from).collect(), next_cursor }))
}

/// Revoke a device
///
/// Its tokens are refused within ten seconds, for good. Its buckets stay. Its name may be given to another device.
/// Revoking it again changes nothing. There is no body.
#[utoipa::path(
    post, path = "/v1/devices/{device_id}/revoke", operation_id = "revoke_device", tag = "accounts",
    params(("device_id" = Uuid, Path, description = "As the list of devices has it.")),
    responses(
        (status = 200, description = "Since when it is revoked.", body = RevokedDevice),
        (status = 404, description = "You have no such device.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "There are no parameters.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn revoke_device(
    viewer: Viewer,
    _: NoParameters,
    State(directory): State<Directory>,
    Path(device_id): Path<String>,
) -> Result<Response, Problem> {
    let device_id = named_device(&device_id)?;
    let directory = directory.acting(viewer.actor());
    let revoked_at = directory.revoke_device(viewer.context(), viewer.user_id(), device_id).await?;
    Ok(unkept(StatusCode::OK, RevokedDevice { device_id, revoked_at }))
}

/// Rotate a device's token
///
/// Issues a token that works at once. The device's other tokens work for ten minutes more, so that nothing is lost
/// while the new one is put in place. If the answer is lost, rotate again. There is no body.
#[utoipa::path(
    post, path = "/v1/devices/{device_id}/rotate", operation_id = "rotate_device", tag = "accounts",
    params(("device_id" = Uuid, Path, description = "As the list of devices has it.")),
    responses(
        (status = 201, description = "The new token.", body = RotatedDevice),
        (status = 404, description = "You have no such device.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "The device is revoked.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "There are no parameters.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn rotate_device(
    viewer: Viewer,
    _: NoParameters,
    State(directory): State<Directory>,
    Path(device_id): Path<String>,
) -> Result<Response, Problem> {
    let device_id = named_device(&device_id)?;
    let directory = directory.acting(viewer.actor());
    let issued = directory.rotate_device(viewer.context(), viewer.user_id(), device_id).await?;
    let reply = RotatedDevice { device_id, token: issued.token, previous_valid_for_s: ROTATION_OVERLAP_S };
    Ok(unkept(StatusCode::CREATED, reply))
}

/// What is no id names no device either.
fn named_device(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| no_such_device())
}

/// Make a link code
///
/// A code for one new device of the token's user: 10 minutes, single use. Type it on the device, which exchanges it
/// for its token. There is no body.
#[utoipa::path(
    post, path = "/v1/link-codes", operation_id = "make_link_code", tag = "accounts",
    responses(
        (status = 201, description = "The code.", body = MadeLinkCode),
        (status = 422, description = "There are no parameters.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn make_link_code(
    viewer: Viewer,
    _: NoParameters,
    State(directory): State<Directory>,
) -> Result<Response, Problem> {
    let directory = directory.acting(viewer.actor());
    let (code, expires_at) = directory.make_link_code(viewer.context(), viewer.user_id()).await?;
    Ok(unkept(StatusCode::CREATED, MadeLinkCode { code, expires_at }))
}

/// Exchange a link code
///
/// Turns a code into a device and its token, once. The same `request_id` gets the same token again, for a day; any
/// other is refused like a code that was mistyped, has expired or was never made.
#[utoipa::path(
    post, path = "/v1/link-codes/exchange", operation_id = "exchange_link_code", tag = "accounts",
    request_body = Exchange,
    responses(
        (status = 201, description = "The device and its token.", body = RegisteredDevice),
        (status = 409, description = "The owner has an active device of this name; the code can still be used.",
            body = ProblemBody, content_type = "application/problem+json"),
        BodyRefusals, Refusals,
    ),
    security(()),
)]
pub(super) async fn exchange_link_code(
    _: NoParameters,
    State(directory): State<Directory>,
    axum::Extension(context): axum::Extension<RequestContext>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let device = directory.exchange_link_code(&context, &Exchange::parse(&body)?).await?;
    Ok(unkept(StatusCode::CREATED, RegisteredDevice { device_id: device.device_id, token: device.token }))
}

/// Create a user
///
/// Makes a user and its viewer token, which is shown once.
#[utoipa::path(
    post, path = "/v1/users", operation_id = "add_user", tag = "accounts",
    request_body = NewUser,
    responses(
        (status = 201, description = "The user and its viewer token.", body = CreatedUser),
        (status = 409, description = "An active user has this name.",
            body = ProblemBody, content_type = "application/problem+json"),
        BodyRefusals, Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn add_user(
    operator: Operator,
    _: NoParameters,
    State(directory): State<Directory>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let NewUser { name, time_zone } = NewUser::parse(&body)?;
    let user = directory.acting(operator.actor()).add_user(operator.context(), &name, &time_zone).await?;
    Ok(unkept(StatusCode::CREATED, CreatedUser { user_id: user.user_id, viewer_token: user.viewer_token }))
}

/// List users
///
/// All users, revoked ones included, with their last activity.
#[utoipa::path(
    get, path = "/v1/users", operation_id = "list_users", tag = "accounts",
    params(
        ("limit" = Option<usize>, Query, description = "Entries of a page: 1 to 1000, by default 100."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before."),
    ),
    responses(
        (status = 200, description = "A page.", body = UsersPage),
        (status = 422, description = "The query is not acceptable: see `errors`.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list_users(
    operator: Operator,
    State(directory): State<Directory>,
    State(cursors): State<Cursors>,
    Parameters(parameters): Parameters,
) -> Result<Json<UsersPage>, Problem> {
    let list = Page::parse(&parameters)?.of(cursors, "GET /v1/users");
    let users = directory.list_users(operator.context(), list.after()?, list.one_more()).await?;
    let (users, next_cursor) = list.cut(users, |user| user.user_id)?;
    Ok(Json(UsersPage { data: users.into_iter().map(User::from).collect(), next_cursor }))
}
