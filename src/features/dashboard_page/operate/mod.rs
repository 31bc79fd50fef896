//! What operators see first: what waits and what was set aside, the switches, the latest jobs; and the lists of users, of price
//! books, and of what has no price.
//!
//! A switch is thrown as it was seen. Where somebody threw it meanwhile, nothing is done, and the page says so.

mod handler;
mod reply;
mod request;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::operator_doors::OperatorDoor;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for operators who are signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Cursors: FromRef<S>,
    OperatorDoor: FromRef<S>,
    PublicUrl: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::show_operate))
        .routes(routes!(handler::throw_page_switch))
        .routes(routes!(handler::show_operate_users))
        .routes(routes!(handler::show_operate_prices))
        .routes(routes!(handler::show_operate_coverage))
}
