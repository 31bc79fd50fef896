//! Deleting usage, and deleting everything: how much it is, is shown first, and what cannot be undone is typed or counted.
//!
//! A form says how many buckets its reader has seen. If there are more by then, the page is shown again and nothing is deleted.
//! What names no device, and everything, is confirmed by typing one's name.

mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::AccountDoor;
use crate::kernel::access::Sessions;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for whoever is signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
    Sessions: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::show_deletion, handler::delete_usage))
        .routes(routes!(handler::show_erasure, handler::erase_everything))
}
