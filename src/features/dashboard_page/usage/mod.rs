//! Pages of usage: everything, a model, a tool, a device, a day, what it costs line by line, and the same numbers for a
//! spreadsheet.
//!
//! A page is one question, so that all its numbers are of one snapshot. What is told apart in a chart and what is left over
//! add up to the whole.

mod address;
mod bars;
mod handler;
mod heat;
mod naming;
mod overview;
mod price;
mod punch;
mod ranks;
mod receipt;
mod receipt_page;
mod reply;
mod request;
mod sheet;
mod stack;

use axum::extract::FromRef;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::doors::AccountDoor;
use crate::kernel::clock::Clock;
use crate::kernel::dashboards::UsageSums;
use crate::kernel::http::public_url::PublicUrl;

/// The routes for whoever is signed in.
pub(super) fn router<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    AccountDoor: FromRef<S>,
    Clock: FromRef<S>,
    PublicUrl: FromRef<S>,
    UsageSums: FromRef<S>,
{
    OpenApiRouter::new()
        .routes(routes!(handler::show_usage))
        .routes(routes!(handler::show_model))
        .routes(routes!(handler::show_tool))
        .routes(routes!(handler::show_device))
        .routes(routes!(handler::show_day))
        .routes(routes!(handler::show_receipt))
        .routes(routes!(handler::usage_sheet))
}
