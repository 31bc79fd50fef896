//! Users: who owns buckets.
//!
//! A name is unique among active users. A user and its first token come into being together or not
//! at all. A user is revoked for good and never deleted. Operators create and list users over HTTP,
//! and commands do the rest.

mod acts;
mod handler;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::Users;
pub use reply::{CreatedUser, UserListing};
pub(super) use store::{insert_user, unknown_zone};

use crate::kernel::http::cursor::Cursors;

/// The routes of operators.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Cursors: FromRef<S>,
    Users: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::add_user, handler::list_users))
}
