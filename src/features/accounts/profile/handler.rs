//! `GET` and `PATCH /v1/me`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::acts::Profiles;
use super::reply::Profile;
use super::request::ProfileChange;
use crate::kernel::access::Viewer;
use crate::kernel::http::body::NoParameters;
use crate::kernel::http::keyed::{KeyHeader, KeyedJson};
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, QueryRefusal, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;

/// Who am I?
///
/// The profile of the token's user.
#[utoipa::path(
    get, path = "/v1/me", operation_id = "get_me", tag = "accounts",
    responses((status = 200, description = "The profile.", body = Profile), QueryRefusal, Refusals),
    security(("viewer" = [])),
)]
pub(super) async fn get_me(
    viewer: Viewer,
    _: NoParameters,
    State(profiles): State<Profiles>,
) -> Result<Json<Profile>, Problem> {
    let profile = profiles.find(viewer.context(), viewer.user_id()).await?;
    Ok(Json(Profile::of(viewer.user_id(), profile)))
}

/// Change the time zone
///
/// Stores the wanted IANA time zone. The rollup is rebuilt in it within seconds. Until then
/// `/v1/rollups` serves and names the old one, with `pending`.
#[utoipa::path(
    patch, path = "/v1/me", operation_id = "patch_me", tag = "accounts",
    params(KeyHeader),
    request_body = ProfileChange,
    responses(
        (status = 200, description = "The profile with the wanted zone.", body = Profile),
        BodyRefusals, KeyRefusals, Refusals,
    ),
    security(("viewer" = [])),
)]
pub(super) async fn patch_me(
    viewer: Viewer,
    _: NoParameters,
    State(profiles): State<Profiles>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let ProfileChange { time_zone } = ProfileChange::parse(&body)?;
    let once = Once::new(request.by(viewer.actor()), Profile::answer);
    let profile = profiles.change_zone(viewer.context(), viewer.actor(), viewer.user_id(), &time_zone, once).await?;
    Ok(profile.answer()?.into_response())
}
