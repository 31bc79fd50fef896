//! `POST /v1/link-codes` and `POST /v1/link-codes/exchange`.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};

use super::super::devices::RegisteredDevice;
use super::acts::LinkCodes;
use super::reply::MadeLinkCode;
use super::request::Exchange;
use crate::kernel::access::Viewer;
use crate::kernel::call::RequestContext;
use crate::kernel::http::body::{JsonBytes, NoParameters};
use crate::kernel::http::keyed::{KeyHeader, KeyedEmpty};
use crate::kernel::http::refusals::{BodyRefusals, ConflictRefusal, KeyRefusals, Refusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::Problem;

/// Make a link code
///
/// A code for one new device of the token's user. It can be used once, for 10 minutes. Type it on
/// the device, which exchanges it for its token. A repetition with the same `Idempotency-Key` gets the
/// same code, which may have been used or have expired by then. There is no body.
#[utoipa::path(
    post, path = "/v1/link-codes", operation_id = "make_link_code", tag = "accounts",
    params(KeyHeader),
    responses((status = 201, description = "The code.", body = MadeLinkCode), KeyRefusals, Refusals),
    security(("viewer" = [])),
)]
pub(super) async fn make_link_code(
    viewer: Viewer,
    _: NoParameters,
    State(link_codes): State<LinkCodes>,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    let once = Once::new(request.by(viewer.actor()), MadeLinkCode::answer);
    let made = link_codes.make(viewer.context(), viewer.actor(), viewer.user_id(), once).await?;
    Ok(made.answer()?.into_response())
}

/// Exchange a link code
///
/// Turns a code into a device and its token, once. The same `request_id` gets the same token again,
/// for a day, so that it is this route's `Idempotency-Key`, and the header is refused. Any other id is refused like a code that was mistyped, has expired or was never made.
/// Where the owner has an active device of this name, the exchange is a conflict, and the code can
/// still be used.
#[utoipa::path(
    post, path = "/v1/link-codes/exchange", operation_id = "exchange_link_code", tag = "accounts",
    request_body = Exchange,
    responses(
        (status = 201, description = "The device and its token.", body = RegisteredDevice),
        ConflictRefusal, BodyRefusals, Refusals,
    ),
    security(()),
)]
pub(super) async fn exchange_link_code(
    _: NoParameters,
    State(link_codes): State<LinkCodes>,
    Extension(context): Extension<RequestContext>,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    let registered = link_codes.exchange(&context, &Exchange::parse(&body)?).await?;
    Ok(registered.answer()?.into_response())
}
