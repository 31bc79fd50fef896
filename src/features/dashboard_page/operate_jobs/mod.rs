//! Jobs, as operators plan them, look at them row by row, have them executed, stop them and take them back.
//!
//! Whatever is done to a job is done to the version that was looked at. Where it has moved on meanwhile, nothing is done, and
//! the page shows how it stands. A form that plans has a key, so that a plan is made once however often it is sent.

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
        .routes(routes!(handler::show_operate_jobs, handler::plan_page_job))
        .routes(routes!(handler::show_operate_job))
        .routes(routes!(handler::show_operate_exceptions))
        .routes(routes!(handler::execute_page_job))
        .routes(routes!(handler::cancel_page_job))
        .routes(routes!(handler::roll_page_job_back))
}
