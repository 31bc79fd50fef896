//! Erasing a person: who the person was, and everything that the person did.
//!
//! The first transaction takes the name, the devices, the tokens and the link codes, and has the
//! writer refuse for good whatever comes of that user id. What stands of usage goes in short
//! transactions afterwards: jobs first, then buckets, then the rollup. Whoever is killed in between
//! has lost nothing, because every server goes on with what `account.erased_user` says is not
//! finished.
//!
//! Other slices remove their part themselves. The composition root hands over how ([`Parts`]).

mod acts;
mod eraser;
mod handler;
mod parts;
mod reply;
mod request;
mod store;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use acts::{Person, Persons};
pub use parts::{Part, Parts};
pub use reply::PersonErasure;
pub use request::PersonQuery;

/// The route of viewers.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Persons: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(handler::erase_me))
}
