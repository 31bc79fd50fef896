//! Who exists and what they may use: users, devices, tokens, link codes; and the deletion of one's own usage.
//!
//! Promises: a name is unique among what is active; rows are revoked and never deleted; a user and its first token, a
//! device and its token, a used code and its device come into being together or not at all; a secret is shown once and
//! only its SHA-256 is kept; a token that is rotated works until its successor is in place; whatever changes is in the
//! audit, in the same transaction.
//!
//! Invariants: whose things they are comes from the token, and an id in a path is looked up by itself and its owner, in
//! one statement, so that another user's looks as if it did not exist; a link code makes one device, however many
//! exchange it, and its token is a function of the server's key, the code and the caller's `request_id`; buckets are
//! deleted by the kernel, which keeps retries from bringing them back.
//!
//! Routes: `/v1/me`, `DELETE /v1/me/usage`, `/v1/devices…`, `POST /v1/link-codes` (viewer), `POST
//! /v1/link-codes/exchange` (nobody: the code is the secret), `/v1/users` (operator). The rest is done by commands.

mod devices;
mod directory;
mod erasing;
mod failed_exchanges;
mod handler;
mod link_code;
mod linking;
mod profile;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use devices::NewDevice;
pub use directory::{DeviceListing, Directory, IssuedToken, NewUser, ROTATION_OVERLAP_S, TokenListing, UserListing};
pub(crate) use reply::{Device, User};

use crate::kernel::access::Authenticator;
use crate::kernel::http::cursor::Cursors;

/// The routes of viewers.
pub(crate) fn viewer_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Authenticator: FromRef<S>,
    Cursors: FromRef<S>,
    Directory: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::get_me, handler::patch_me))
        .routes(routes!(handler::erase_usage))
        .routes(routes!(handler::register_device, handler::list_devices))
        .routes(routes!(handler::revoke_device))
        .routes(routes!(handler::rotate_device))
        .routes(routes!(handler::make_link_code))
}

/// The route that anybody may call who knows a code.
pub(crate) fn exchange_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Directory: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::exchange_link_code))
}

/// The routes of operators.
pub(crate) fn operator_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Authenticator: FromRef<S>,
    Cursors: FromRef<S>,
    Directory: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::add_user, handler::list_users))
}
