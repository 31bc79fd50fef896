//! `GET` and `POST /v1/sources`, and `POST /v1/sources/{name}/retire`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};

use super::reply::{SourceReply, SourcesReply};
use super::request::{NewSource, SourceName};
use crate::kernel::access::{Caller, Operator};
use crate::kernel::http::body::NoParameters;
use crate::kernel::http::keyed::{KeyHeader, KeyedEmpty, KeyedJson};
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, NotFoundRefusal, QueryRefusal, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;
use crate::kernel::usage::sources::Sources;

/// The tools
///
/// Every tool that may report usage, and every one that might once, as they are stored. What `source` of a bucket may be.
#[utoipa::path(
    get, path = "/v1/sources", operation_id = "list_sources", tag = "operations",
    responses(
        (status = 200, description = "All of them", body = SourcesReply),
        Refusals,
        QueryRefusal,
    ),
    security(("device" = []), ("viewer" = []), ("operator" = [])),
)]
pub(super) async fn list_sources(
    caller: Caller,
    _: NoParameters,
    State(sources): State<Sources>,
) -> Result<Json<SourcesReply>, Problem> {
    Ok(Json(sources.list(caller.context()).await?.into()))
}

/// Allow a tool
///
/// From now on it may report usage: to this process at once, to every other within two seconds. One that was retired may
/// again. Allowing it twice changes nothing but the title, and each time is written into the audit. Another name of a
/// tool is a conflict.
#[utoipa::path(
    post, path = "/v1/sources", operation_id = "add_source", tag = "operations",
    params(KeyHeader),
    request_body = NewSource,
    responses(
        (status = 201, description = "The tool is new", body = SourceReply),
        (status = 200, description = "There was such a tool, and it may report usage", body = SourceReply),
        BodyRefusals,
        KeyRefusals,
        Refusals,
    ),
    security(("operator" = [])),
)]
pub(super) async fn add_source(
    operator: Operator,
    _: NoParameters,
    State(sources): State<Sources>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let NewSource { name, title } = NewSource::parse(&body)?;
    let once = Once::new(request.by(operator.actor()), SourceReply::answer_to_addition);
    let added = sources.add(operator.context(), operator.actor(), name, title.as_deref(), once).await?;
    Ok(SourceReply::answer_to_addition(&added)?.into_response())
}

/// Retire a tool
///
/// From now on its posts are refused, by this process at once, by every other within two seconds. Its history stays, is
/// read and erased like any other, and imports may still correct it. Retiring it again changes nothing. There is no body.
#[utoipa::path(
    post, path = "/v1/sources/{name}/retire", operation_id = "retire_source", tag = "operations",
    params(
        ("name" = inline(SourceName), Path, description = "As the list of tools has it", example = "api"),
        KeyHeader,
    ),
    responses(
        (status = 200, description = "The tool as it is now", body = SourceReply),
        NotFoundRefusal,
        KeyRefusals,
        Refusals,
    ),
    security(("operator" = [])),
)]
pub(super) async fn retire_source(
    operator: Operator,
    _: NoParameters,
    State(sources): State<Sources>,
    Path(name): Path<String>,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    let once = Once::new(request.by(operator.actor()), SourceReply::answer_to_retirement);
    let retired = sources.retire(operator.context(), operator.actor(), &name, once).await?;
    Ok(SourceReply::answer_to_retirement(&retired)?.into_response())
}
