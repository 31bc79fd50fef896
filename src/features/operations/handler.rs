//! From requests to answers.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::readiness::Readiness;
use super::request::Setting;
use super::switchboard::{Switchboard, Thrown};
use crate::kernel::auth::Operator;
use crate::kernel::call::Call;
use crate::kernel::extract::JsonBytes;
use crate::kernel::openapi::Refusals;
use crate::kernel::problem::{Code, Problem, ProblemBody};
use crate::kernel::switches::Switch;

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

/// One kill switch, as it is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SwitchReply {
    /// `ingest`, `relay`, `backfill` or `retention`.
    #[schema(example = "ingest")]
    name: &'static str,
    /// Whether it may run.
    #[schema(example = false)]
    is_on: bool,
    /// Why it was thrown last; null where it never was.
    #[schema(example = "disk is full, ticket 7")]
    reason: Option<String>,
    /// When it was thrown last; null where it never was.
    changed_at: Option<DateTime<Utc>>,
}

impl SwitchReply {
    fn new(switch: Switch, thrown: Option<Thrown>) -> Self {
        Self {
            name: switch.as_str(),
            is_on: thrown.as_ref().is_none_or(|thrown| thrown.is_on),
            changed_at: thrown.as_ref().map(|thrown| thrown.changed_at),
            reason: thrown.map(|thrown| thrown.reason),
        }
    }

    fn find(switch: Switch, thrown: &[Thrown]) -> Self {
        Self::new(switch, thrown.iter().find(|thrown| thrown.switch == switch).cloned())
    }
}

/// All kill switches.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SwitchesReply {
    /// In a fixed order.
    switches: Vec<SwitchReply>,
}

/// The kill switches
///
/// What operators have switched off, as it is stored. Every process obeys it within two seconds.
#[utoipa::path(
    get, path = "/v1/switches", operation_id = "list_switches", tag = "operations",
    responses(
        (status = 200, description = "All of them", body = SwitchesReply),
        (status = 422, description = "An Idempotency-Key", body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn list_switches(
    operator: Operator,
    State(switchboard): State<Switchboard>,
) -> Result<Json<SwitchesReply>, Problem> {
    let thrown = switchboard.read(operator.call()).await?;
    let switches = Switch::ALL.into_iter().map(|switch| SwitchReply::find(switch, &thrown)).collect();
    Ok(Json(SwitchesReply { switches }))
}

/// One kill switch
///
/// As it is stored. A switch that was never thrown is on.
#[utoipa::path(
    get, path = "/v1/switches/{name}", operation_id = "get_switch", tag = "operations",
    params(("name" = String, Path, description = "`ingest`, `relay`, `backfill` or `retention`", example = "ingest")),
    responses(
        (status = 200, description = "The switch", body = SwitchReply),
        (status = 404, description = "No such switch", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "An Idempotency-Key", body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn get_switch(
    operator: Operator,
    State(switchboard): State<Switchboard>,
    Path(name): Path<String>,
) -> Result<Json<SwitchReply>, Problem> {
    let switch = named(&name)?;
    Ok(Json(SwitchReply::find(switch, &switchboard.read(operator.call()).await?)))
}

/// Throw a kill switch
///
/// On or off, with the reason, which is written into the audit together with who did it. This process obeys at once,
/// every other within two seconds. Throwing it twice the same way changes nothing but the reason.
#[utoipa::path(
    put, path = "/v1/switches/{name}", operation_id = "put_switch", tag = "operations",
    params(("name" = String, Path, description = "`ingest`, `relay`, `backfill` or `retention`", example = "ingest")),
    request_body = Setting,
    responses(
        (status = 200, description = "The switch as it is now", body = SwitchReply),
        (status = 404, description = "No such switch", body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large", body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Not acceptable: see `errors`; nothing was changed",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = [])),
)]
pub(super) async fn put_switch(
    operator: Operator,
    State(switchboard): State<Switchboard>,
    Path(name): Path<String>,
    JsonBytes(body): JsonBytes,
) -> Result<Json<SwitchReply>, Problem> {
    let switch = named(&name)?;
    let Setting { is_on, reason } = Setting::parse(&body)?;
    let thrown = switchboard.throw(operator.call(), operator.actor(), switch, is_on, reason).await?;
    Ok(Json(SwitchReply::new(switch, Some(thrown))))
}

fn named(name: &str) -> Result<Switch, Problem> {
    let known = Switch::ALL.map(Switch::as_str).join(", ");
    Switch::parse(name)
        .ok_or_else(|| Problem::new(Code::NotFound, format!("There is no such switch; there are: {known}.")))
}
