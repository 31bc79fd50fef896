//! `/v1/backfills…`, once there is a job: looking at it, and telling it what to do.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use axum::response::{IntoResponse as _, Response};
use uuid::Uuid;

use super::jobs::{Backfills, JobChange, not_found};
use super::reply::{ExceptionReply, ExceptionsReply, JobReply, JobsReply, RowReply, RowsReply};
use super::request::{ExceptionsPage, ExceptionsParameters};
use crate::kernel::access::Corrector;
use crate::kernel::bucket::BucketKey;
use crate::kernel::http::body::{NoParameters, Parameters};
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::keyed::{KeyHeader, KeyedEmpty, KeyedRequest};
use crate::kernel::http::page::Page;
use crate::kernel::http::parameters::{PageParameters, VersionHeader};
use crate::kernel::http::refusals::{KeyRefusals, NotFoundRefusal, QueryRefusal, Refusals, VersionRefusals};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::problem::{Code, Problem, ProblemBody, Violation};

/// List jobs
///
/// Newest first. A viewer sees the merges of its own user only.
#[utoipa::path(
    get,
    path = "/v1/backfills",
    operation_id = "list_backfills",
    tag = "backfills",
    params(
        PageParameters,
    ),
    responses(
        (status = 200, description = "The jobs", body = JobsReply),
        Refusals,
        QueryRefusal,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn list_backfills(
    caller: Corrector,
    State(backfills): State<Backfills>,
    State(cursors): State<Cursors>,
    Parameters(parameters): Parameters,
) -> Result<Json<JobsReply>, Problem> {
    let backfills = visible(backfills, &caller);
    let list = Page::parse(&parameters)?.of(cursors, format!("GET /v1/backfills {}", caller.user_id()));
    let jobs = backfills.list(caller.context(), list.after()?, list.one_more()).await?;
    let (jobs, next_cursor) = list.cut(jobs, |job| job.job_id)?;
    let now = backfills.clock().now();
    Ok(Json(JobsReply { data: jobs.into_iter().map(|job| JobReply::brief(job, now)).collect(), next_cursor }))
}

/// Look at a job
///
/// Its state, its diff, how far it has come, and what did not go as planned. `ETag` is its version.
#[utoipa::path(
    get,
    path = "/v1/backfills/{job_id}",
    operation_id = "get_backfill",
    tag = "backfills",
    params(("job_id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The job", body = JobReply, headers(("ETag" = String, description = "Its version"))),
        Refusals,
        NotFoundRefusal,
        QueryRefusal,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn get_backfill(
    caller: Corrector,
    _: NoParameters,
    State(backfills): State<Backfills>,
    Path(job_id): Path<String>,
) -> Result<Response, Problem> {
    let shown = visible(backfills, &caller).find(caller.context(), id(&job_id)?).await?;
    Ok(JobReply::answer(&shown)?.into_response())
}

/// Look at a plan, row by row
///
/// What each row writes, and what it replaces, in the order of its execution. A merge has two rows for each bucket of
/// the from-device: what the into-device is to say, and what is removed.
#[utoipa::path(
    get,
    path = "/v1/backfills/{job_id}/rows",
    operation_id = "list_backfill_rows",
    tag = "backfills",
    params(
        ("job_id" = Uuid, Path, description = "The job"),
        PageParameters,
    ),
    responses(
        (status = 200, description = "The rows; none for replays, verifications and reprices, and 30 days after the job",
            body = RowsReply),
        Refusals,
        NotFoundRefusal,
        QueryRefusal,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn list_backfill_rows(
    caller: Corrector,
    State(backfills): State<Backfills>,
    State(cursors): State<Cursors>,
    Path(job_id): Path<String>,
    Parameters(parameters): Parameters,
) -> Result<Json<RowsReply>, Problem> {
    let backfills = visible(backfills, &caller);
    let (job_id, page) = (id(&job_id)?, Page::parse(&parameters)?);
    let list = page.of(cursors, format!("GET /v1/backfills/{job_id}/rows {}", caller.user_id()));
    let rows = backfills.rows(caller.context(), job_id, list.after()?.as_ref(), list.one_more()).await?;
    let (rows, next_cursor) = list.cut(rows, |row| {
        let BucketKey { user_id, hour_start, device_id, source, model } = row.row.key.clone();
        (user_id, hour_start.start(), device_id, source.as_str().to_owned(), model.as_str().to_owned())
    })?;
    Ok(Json(RowsReply { data: rows.into_iter().map(RowReply::from).collect(), next_cursor }))
}

/// Look at what did not go as planned
///
/// Lines that were not acceptable, by number; rows that had changed since the plan; buckets that a rollback kept.
#[utoipa::path(
    get,
    path = "/v1/backfills/{job_id}/exceptions",
    operation_id = "list_backfill_exceptions",
    tag = "backfills",
    params(
        ("job_id" = Uuid, Path, description = "The job"),
        ExceptionsParameters,
        PageParameters,
    ),
    responses(
        (status = 200, description = "The lines and rows", body = ExceptionsReply),
        Refusals,
        NotFoundRefusal,
        QueryRefusal,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn list_backfill_exceptions(
    caller: Corrector,
    State(backfills): State<Backfills>,
    State(cursors): State<Cursors>,
    Path(job_id): Path<String>,
    Parameters(parameters): Parameters,
) -> Result<Json<ExceptionsReply>, Problem> {
    let backfills = visible(backfills, &caller);
    let (job_id, ExceptionsPage { page, kind }) = (id(&job_id)?, ExceptionsPage::parse(&parameters)?);
    let kinds = kind.map_or("all", super::job::ExceptionKind::as_str);
    let list = page.of(cursors, format!("GET /v1/backfills/{job_id}/exceptions {} {kinds}", caller.user_id()));
    let after = list.after()?.unwrap_or(0);
    let found = backfills.exceptions(caller.context(), job_id, kind, after, list.one_more()).await?;
    let (found, next_cursor) = list.cut(found, |(number, _)| *number)?;
    let data = found.into_iter().map(|(_, exception)| ExceptionReply::from(exception)).collect();
    Ok(Json(ExceptionsReply { data, next_cursor }))
}

/// Execute a plan
///
/// Hands it to the workers. Every row is compared with what it was planned to replace: a plan that does not fit any
/// more is 409 `plan_stale`. The from-device of a merge has to be revoked first, and where buckets differ the plan says
/// what decides. A reprice puts its book in force at once, and moves one user after the other.
#[utoipa::path(
    post,
    path = "/v1/backfills/{job_id}/execute",
    operation_id = "execute_backfill",
    tag = "backfills",
    params(
        ("job_id" = Uuid, Path, description = "The job"),
        VersionHeader,
        KeyHeader,
    ),
    responses(
        KeyRefusals,
        (status = 200, description = "It is running", body = JobReply, headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "`plan_stale`, or it is not planned, or a merge may not be executed yet, or \
            `idempotency_in_progress`",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
        NotFoundRefusal,
        VersionRefusals,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn execute_backfill(
    caller: Corrector,
    _: NoParameters,
    State(backfills): State<Backfills>,
    Path(job_id): Path<String>,
    headers: HeaderMap,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    change(&caller, backfills, &job_id, &headers, request, JobChange::Execute).await
}

/// Cancel a job
///
/// It stops within one step. What it has written stays, until it is rolled back; `progress` says how far it came.
#[utoipa::path(
    post,
    path = "/v1/backfills/{job_id}/cancel",
    operation_id = "cancel_backfill",
    tag = "backfills",
    params(
        ("job_id" = Uuid, Path, description = "The job"),
        VersionHeader,
        KeyHeader,
    ),
    responses(
        KeyRefusals,
        (status = 200, description = "It is cancelled", body = JobReply,
            headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "It has ended, or `idempotency_in_progress`",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
        NotFoundRefusal,
        VersionRefusals,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn cancel_backfill(
    caller: Corrector,
    _: NoParameters,
    State(backfills): State<Backfills>,
    Path(job_id): Path<String>,
    headers: HeaderMap,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    change(&caller, backfills, &job_id, &headers, request, JobChange::Cancel).await
}

/// Roll an import, a merge or a reprice back
///
/// Every bucket that still holds this job's value gets its previous value back, including `observed_at`, or a newer one
/// that a tracker has sent since. Buckets that the job inserted are deleted, and buckets that a merge removed are back.
/// Buckets that have changed since are kept, and listed. A rollback may be repeated. That of a reprice puts the former price
/// book in force again and moves every user back into it.
#[utoipa::path(
    post,
    path = "/v1/backfills/{job_id}/rollback",
    operation_id = "rollback_backfill",
    tag = "backfills",
    params(
        ("job_id" = Uuid, Path, description = "The job"),
        VersionHeader,
        KeyHeader,
    ),
    responses(
        KeyRefusals,
        (status = 200, description = "It is being taken back", body = JobReply,
            headers(("ETag" = String, description = "Its version"))),
        (status = 409, description = "There is nothing to take back, newer corrections or a newer price book come first, or it \
            ended more than 30 days ago; or `idempotency_in_progress`", body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
        NotFoundRefusal,
        VersionRefusals,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn rollback_backfill(
    caller: Corrector,
    _: NoParameters,
    State(backfills): State<Backfills>,
    Path(job_id): Path<String>,
    headers: HeaderMap,
    KeyedEmpty(request): KeyedEmpty,
) -> Result<Response, Unexecuted> {
    change(&caller, backfills, &job_id, &headers, request, JobChange::Rollback).await
}

async fn change(
    caller: &Corrector,
    backfills: Backfills,
    job_id: &str,
    headers: &HeaderMap,
    request: KeyedRequest,
    change: JobChange,
) -> Result<Response, Unexecuted> {
    let (version, job_id) = (version(headers)?, id(job_id)?);
    let once = Once::new(request.by(caller.actor()), JobReply::answer);
    let backfills = visible(backfills, caller);
    let shown = backfills.change(caller.context(), caller.actor(), job_id, Some(version), change, once).await?;
    Ok(JobReply::answer(&shown)?.into_response())
}

/// A viewer sees the merges of its own user, and no other job.
fn visible(backfills: Backfills, caller: &Corrector) -> Backfills {
    if caller.is_operator() { backfills } else { backfills.merges_of(caller.user_id()) }
}

/// What is no id names no job.
fn id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| not_found())
}

/// The version in `If-Match`: a number in quotes.
fn version(headers: &HeaderMap) -> Result<i64, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let missing = || Problem::new(Code::PreconditionRequired, "Send `If-Match` with the version that you have read.");
    let value = values.next().ok_or_else(missing)?;
    let text = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let version = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
    version.filter(|_| values.next().is_none()).ok_or_else(|| {
        let detail = "Expected one version in quotes, as `ETag` has it: `\"2\"`.";
        Problem::invalid(vec![Violation::new("If-Match:", "not_a_version", detail)])
    })
}
