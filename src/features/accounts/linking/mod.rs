//! Linking: the owner of a new device makes a code, and the device exchanges the code for its
//! token.
//!
//! A code makes one device, however many exchange it. A used code and its device come into being
//! together or not at all. The device's token is a function of the server's key, the code and the
//! caller's `request_id`, so that a repeated exchange gets the same one. Anybody may call the
//! exchange, because the code is the secret.

mod acts;
mod failed_exchanges;
mod handler;
mod link_code;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::LinkCodes;
pub(super) use acts::MAX_CODES;
pub(super) use failed_exchanges::FailedExchanges;
pub(super) use link_code::{LinkCode, LinkRequest};
pub(super) use request::UNUSABLE_CODE;
pub(super) use store::lock_maker;

/// The route of viewers.
pub(super) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    LinkCodes: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::make_link_code))
}

/// The route of everybody who knows a code.
pub(super) fn exchange_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    LinkCodes: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::exchange_link_code))
}
