//! Settings: one's zone, devices, codes for new ones, tokens and sessions.
//!
//! What a button does is an act of accounts, as the API has it. A secret is shown once, on the page that answers the form, and
//! no cache keeps that.

mod handler;
mod reply;
mod request;
mod setups;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::AccountDoor;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for whoever is signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
    UsageSums: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::show_settings))
        .routes(routes!(handler::set_zone))
        .routes(routes!(handler::add_page_device))
        .routes(routes!(handler::rename_page_device))
        .routes(routes!(handler::rotate_page_device))
        .routes(routes!(handler::revoke_page_device))
        .routes(routes!(handler::make_page_link_code))
        .routes(routes!(handler::issue_page_token))
        .routes(routes!(handler::revoke_page_token))
}
