//! A user's own profile: its name, and the time zone that its days are in.
//!
//! A change of the zone and the event that has the rollup rebuilt in it are one transaction.

mod acts;
mod handler;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::Profiles;

/// The routes of viewers.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Profiles: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::get_me, handler::patch_me))
}
