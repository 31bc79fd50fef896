//! The health routes.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::ToSchema;

use super::readiness::Readiness;
use crate::kernel::call::Call;
use crate::kernel::problem::{Problem, ProblemBody};

/// A healthy answer.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`; anything else is a problem.
    #[schema(example = "ok")]
    status: &'static str,
}

fn ok() -> impl IntoResponse {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(Health { status: "ok" }))
}

/// Is the process alive?
///
/// Answers without touching anything. Restart the process when it does not answer.
#[utoipa::path(
    get, path = "/health/live", operation_id = "get_live", tag = "health",
    responses((status = 200, description = "The process is alive", body = Health)),
)]
pub(super) async fn get_live() -> impl IntoResponse {
    ok()
}

/// Can the process serve?
///
/// Asks the database, within 500 ms; the answer is remembered for a second. Send no traffic while it is 503.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "get_ready", tag = "health",
    responses(
        (status = 200, description = "The database answers", body = Health),
        (status = 503, description = "It does not", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get_ready(
    State(readiness): State<Readiness>,
    Extension(call): Extension<Call>,
) -> Result<impl IntoResponse, Problem> {
    readiness.check(&call).await?;
    Ok(ok())
}

/// Has the process started?
///
/// The server listens only after its migrations are applied, so an answer means that they are.
#[utoipa::path(
    get, path = "/health/startup", operation_id = "get_startup", tag = "health",
    responses((status = 200, description = "Migrations are applied", body = Health)),
)]
pub(super) async fn get_startup() -> impl IntoResponse {
    ok()
}
