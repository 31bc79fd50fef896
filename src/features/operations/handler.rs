//! The routes of operations: from requests to answers.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::book_in_force::BookInForceReply;
use super::private_postgres::PrivatePostgresReply;
use super::process_status::{ProcessStatus, Waiting};
use super::readiness::Readiness;
use super::request::{Setting, SwitchName};
use super::standby::StandbyReply;
use super::store::{ParkedEvent, ThrownSwitch};
use super::switchboard::Switchboard;
use crate::kernel::access::Operator;
use crate::kernel::call::RequestContext;
use crate::kernel::database::PoolLoad;
use crate::kernel::http::body::NoParameters;
use crate::kernel::http::keyed::{KeyHeader, KeyedJson};
use crate::kernel::http::refusals::{BodyRefusals, KeyRefusals, NotFoundRefusal, QueryRefusal, Refusals};
use crate::kernel::idempotency::{Answer, Once, Unexecuted};
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::{Code, Problem, ProblemBody};
use crate::kernel::usage::outbox::Backlog;

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
/// Asks the database, within 500 ms. A good answer is remembered for a second, a bad one for 200 ms. Send no traffic
/// while it is 503.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "get_ready", tag = "health",
    responses(
        (status = 200, description = "The database answers", body = Health),
        (status = 503, description = "It does not", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get_ready(
    State(readiness): State<Readiness>,
    Extension(context): Extension<RequestContext>,
) -> Result<impl IntoResponse, Problem> {
    readiness.check(&context).await?;
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
    fn new(switch: Switch, thrown: Option<ThrownSwitch>) -> Self {
        Self {
            name: switch.as_str(),
            is_on: thrown.as_ref().is_none_or(|thrown| thrown.is_on),
            changed_at: thrown.as_ref().map(|thrown| thrown.changed_at),
            reason: thrown.map(|thrown| thrown.reason),
        }
    }

    /// The answer to its throw.
    fn answer(thrown: &ThrownSwitch) -> Result<Answer, Problem> {
        Answer::ok(&Self::new(thrown.switch, Some(thrown.clone())))
    }

    fn find(switch: Switch, thrown: &[ThrownSwitch]) -> Self {
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
        Refusals,
        QueryRefusal,
    ),
    security(("operator" = [])),
)]
pub(super) async fn list_switches(
    operator: Operator,
    _: NoParameters,
    State(switchboard): State<Switchboard>,
) -> Result<Json<SwitchesReply>, Problem> {
    let thrown = switchboard.read(operator.context()).await?;
    let switches = Switch::ALL.into_iter().map(|switch| SwitchReply::find(switch, &thrown)).collect();
    Ok(Json(SwitchesReply { switches }))
}

/// One kill switch
///
/// As it is stored. A switch that was never thrown is on.
#[utoipa::path(
    get, path = "/v1/switches/{name}", operation_id = "get_switch", tag = "operations",
    params(("name" = inline(SwitchName), Path, description = "The switch", example = "ingest")),
    responses(
        (status = 200, description = "The switch", body = SwitchReply),
        Refusals,
        NotFoundRefusal,
        QueryRefusal,
    ),
    security(("operator" = [])),
)]
pub(super) async fn get_switch(
    operator: Operator,
    _: NoParameters,
    State(switchboard): State<Switchboard>,
    Path(name): Path<String>,
) -> Result<Json<SwitchReply>, Problem> {
    let switch = named(&name)?;
    Ok(Json(SwitchReply::find(switch, &switchboard.read(operator.context()).await?)))
}

/// Throw a kill switch
///
/// On or off, with the reason, which is written into the audit together with who did it. This process obeys at once,
/// every other within two seconds. Throwing it twice the same way changes nothing but the reason. A repetition with the same
/// `Idempotency-Key` throws nothing: it gets the first answer, whatever the switch is by then.
#[utoipa::path(
    put, path = "/v1/switches/{name}", operation_id = "put_switch", tag = "operations",
    params(
        ("name" = inline(SwitchName), Path, description = "The switch", example = "ingest"),
        KeyHeader,
    ),
    request_body = Setting,
    responses(
        (status = 200, description = "The switch as it is now", body = SwitchReply),
        Refusals,
        BodyRefusals,
        KeyRefusals,
        NotFoundRefusal,
    ),
    security(("operator" = [])),
)]
pub(super) async fn put_switch(
    operator: Operator,
    _: NoParameters,
    State(switchboard): State<Switchboard>,
    Path(name): Path<String>,
    KeyedJson(request, body): KeyedJson,
) -> Result<Response, Unexecuted> {
    let switch = named(&name)?;
    let Setting { is_on, reason } = Setting::parse(&body)?;
    let once = Once::new(request.by(operator.actor()), SwitchReply::answer);
    let thrown = switchboard.throw(operator.context(), operator.actor(), switch, is_on, reason, once).await?;
    Ok(SwitchReply::answer(&thrown)?.into_response())
}

fn named(name: &str) -> Result<Switch, Problem> {
    let known = Switch::ALL.map(Switch::as_str).join(", ");
    Switch::parse(name)
        .ok_or_else(|| Problem::new(Code::NotFound, format!("There is no such switch; there are: {known}.")))
}

/// How the process that answers is doing, and what waits in the database.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusReply {
    /// The release that this process runs.
    #[schema(example = "0.1.0")]
    release: &'static str,
    /// Since it began to serve.
    uptime_seconds: u64,
    /// The database's clock minus this machine's, in microseconds.
    clock_offset_us: i64,
    /// Whole local days of buckets that are kept; null keeps all.
    retention_days: Option<u32>,
    /// As this process obeys them.
    switches: Vec<ObeyedSwitch>,
    /// Events that wait to be folded.
    backlog: Vec<LaneReply>,
    /// Events that were set aside because their fold failed too often, at most 100, the first ones first. `backlog` says how
    /// many there are.
    parked: Vec<ParkedReply>,
    /// Rows that wait for the writer or are being written.
    queued_rows: usize,
    /// Connections, by purpose.
    pools: Vec<PoolReply>,
    /// The standby that answers reads; null where `HALFHOUR_READ_DATABASE_URL` names none.
    standby: Option<StandbyReply>,
    /// The price book that is in force; null where there is none.
    prices: Option<BookInForceReply>,
    /// The private PostgreSQL; null where `DATABASE_URL` names another one.
    private_postgres: Option<PrivatePostgresReply>,
}

/// A switch as one process knows it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ObeyedSwitch {
    #[schema(example = "ingest")]
    name: &'static str,
    is_on: bool,
}

/// One lane of the outbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LaneReply {
    /// `live`, `bulk` or `whole`.
    #[schema(example = "live")]
    lane: &'static str,
    /// Events that wait, parked ones left out.
    waiting: i64,
    /// Events that were set aside.
    parked: i64,
    /// When the oldest event was written; null where there is none.
    oldest_at: Option<DateTime<Utc>>,
    /// How old it is.
    age_seconds: Option<i64>,
}

/// An event that was set aside.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParkedReply {
    /// Whose usage is not folded.
    user_id: Uuid,
    /// The event.
    id: i64,
    /// What happened.
    #[schema(example = "bucket_changed")]
    topic: String,
    /// The UTC day that changed.
    utc_day: NaiveDate,
    /// How often its fold failed.
    attempts: i32,
    /// Since when it is set aside.
    parked_at: DateTime<Utc>,
    /// The SQLSTATE and constraint of the last failure.
    last_error: Option<String>,
}

/// One pool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PoolReply {
    /// `ingest`, `read`, `worker` or `control`; `standby` where there is one.
    #[schema(example = "ingest")]
    name: &'static str,
    /// How many connections it may open.
    max: u32,
    /// How many are open.
    open: u32,
    /// How many of them are in a transaction.
    in_use: u32,
    /// `closed`; `open` while callers are refused because the database does not answer; `half_open` while one tries.
    #[schema(example = "closed")]
    breaker: &'static str,
}

impl From<PoolLoad> for PoolReply {
    fn from(PoolLoad { name, max, open, in_use, breaker }: PoolLoad) -> Self {
        Self { name, max, open, in_use, breaker: breaker.as_str() }
    }
}

impl From<ParkedEvent> for ParkedReply {
    fn from(parked: ParkedEvent) -> Self {
        let ParkedEvent { user_id, id, topic, utc_day, attempts, parked_at, last_error, .. } = parked;
        Self { user_id, id, topic, utc_day, attempts, parked_at, last_error }
    }
}

impl LaneReply {
    fn new(backlog: &Backlog, now: DateTime<Utc>) -> Self {
        let Backlog { lane, waiting, parked, oldest_at } = *backlog;
        let age_seconds = oldest_at.map(|oldest| (now - oldest).num_seconds().max(0));
        Self { lane: lane.as_str(), waiting, parked, oldest_at, age_seconds }
    }
}

/// How the server is doing
///
/// Of the process that answers: release, switches as it obeys them, clock, queue, pools, the standby, and the private
/// PostgreSQL with an upgrade that is not over. Of the database: how many events wait to be folded, since when, and which
/// were set aside, with the reason; and how old the prices are that are in force.
#[utoipa::path(
    get, path = "/v1/status", operation_id = "get_status", tag = "operations",
    responses(
        (status = 200, description = "How it is doing", body = StatusReply),
        Refusals,
        QueryRefusal,
    ),
    security(("operator" = [])),
)]
pub(super) async fn get_status(
    operator: Operator,
    _: NoParameters,
    State(process_status): State<ProcessStatus>,
) -> Result<Json<StatusReply>, Problem> {
    let Waiting { backlog, first_parked, book } = process_status.waiting(operator.context()).await?;
    let now = process_status.clock.now();
    let obeyed =
        Switch::ALL.map(|switch| ObeyedSwitch { name: switch.as_str(), is_on: process_status.switches.is_on(switch) });
    Ok(Json(StatusReply {
        release: env!("CARGO_PKG_VERSION"),
        uptime_seconds: process_status.started.elapsed().as_secs(),
        clock_offset_us: process_status.clock.offset_us(),
        retention_days: process_status.retention_days,
        switches: obeyed.into(),
        backlog: backlog.iter().map(|lane| LaneReply::new(lane, now)).collect(),
        parked: first_parked.into_iter().map(ParkedReply::from).collect(),
        queued_rows: process_status.writer.queued_rows(),
        pools: process_status.pools.loads().into_iter().map(PoolReply::from).collect(),
        standby: process_status.pools.standby.as_ref().map(StandbyReply::new),
        prices: book.map(|book| BookInForceReply::new(book, now)),
        private_postgres: process_status.private_postgres.as_ref().map(PrivatePostgresReply::new),
    }))
}

/// Metrics
///
/// What the process that answers has counted and measured, in Prometheus's text format. It asks nothing of the database.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "operations",
    responses(
        (status = 200, description = "The metrics", content_type = "text/plain", body = String),
        Refusals,
        QueryRefusal,
    ),
    security(("operator" = [])),
)]
pub(super) async fn get_metrics(
    _operator: Operator,
    _: NoParameters,
    State(process_status): State<ProcessStatus>,
) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))],
        process_status.exposition(),
    )
}
