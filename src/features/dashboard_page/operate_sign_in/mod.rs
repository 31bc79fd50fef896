//! Signing in and out as an operator.
//!
//! An operator shows an operator token, and gets a session for half a day. It lies in a cookie of its own, beside a viewer's if
//! there is one, and neither opens the pages of the other. Who comes with the wrong one is told so.

mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use handler::{turn_operator_away, turn_stranger_away};

use super::operator_doors::OperatorDoor;
use crate::kernel::access::OperatorSessions;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for everybody.
pub(super) fn open_router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    OperatorDoor: FromRef<S>,
    OperatorSessions: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::show_operator_sign_in, handler::sign_operator_in))
}

/// The routes for whoever is signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    OperatorDoor: FromRef<S>,
    OperatorSessions: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::sign_operator_out))
}
