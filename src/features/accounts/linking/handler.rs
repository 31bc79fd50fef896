//! `POST /v1/link-codes` and `POST /v1/link-codes/exchange`.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::devices::RegisteredDevice;
use super::super::handler::unkept;
use super::acts::LinkCodes;
use super::reply::MadeLinkCode;
use super::request::Exchange;
use crate::kernel::access::Viewer;
use crate::kernel::call::RequestContext;
use crate::kernel::http::body::{JsonBytes, NoParameters};
use crate::kernel::http::refusals::{BodyRefusals, ConflictRefusal, QueryRefusal, Refusals};
use crate::kernel::problem::Problem;

/// Make a link code
///
/// A code for one new device of the token's user. It can be used once, for 10 minutes. Type it on
/// the device, which exchanges it for its token. There is no body.
#[utoipa::path(
    post, path = "/v1/link-codes", operation_id = "make_link_code", tag = "accounts",
    responses((status = 201, description = "The code.", body = MadeLinkCode), QueryRefusal, Refusals),
    security(("bearer" = [])),
)]
pub(super) async fn make_link_code(
    viewer: Viewer,
    _: NoParameters,
    State(link_codes): State<LinkCodes>,
) -> Result<Response, Problem> {
    let made = link_codes.make(viewer.context(), viewer.actor(), viewer.user_id()).await?;
    Ok(unkept(StatusCode::CREATED, made))
}

/// Exchange a link code
///
/// Turns a code into a device and its token, once. The same `request_id` gets the same token again,
/// for a day. Any other is refused like a code that was mistyped, has expired or was never made.
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
    Ok(unkept(StatusCode::CREATED, registered))
}
