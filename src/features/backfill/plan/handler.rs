//! `POST /v1/backfills`: from a body, or a stream of lines, to a plan.

use axum::Json;
use axum::extract::{FromRequest as _, RawQuery, Request, State};
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::super::job::Action;
use super::super::jobs::{Backfills, Shown};
use super::super::reply::JobReply;
use super::contract::{ImportedBucket, OrderBody, StreamParameters};
use super::key::{Fingerprint, PlanKey};
use super::lines::Lines;
use super::request::Order;
use super::{Import, Planned, replayed};
use crate::kernel::access::Corrector;
use crate::kernel::http::body::{JSON, JsonBytes, NDJSON, Parameters, TextChunks, media_type};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::keyed::RequiredKeyHeader;
use crate::kernel::http::refusals::Refusals;
use crate::kernel::idempotency::{IDEMPOTENCY_REPLAYED, digest, key_text};
use crate::kernel::problem::{Code, Problem, ProblemBody, Violation};

/// Plan a job
///
/// Makes a plan and changes nothing. `import` writes buckets, `replay` folds a window again, `verify` compares rollups
/// with their buckets, `merge` moves the buckets of one device into another one of the same user, `reprice` puts a price
/// book in force. The plan of an import, a merge or a reprice has a diff; execute it with the version that is answered here. A viewer plans merges of its own user's
/// devices, and nothing else.
///
/// A body of `application/json` is refused whole when anything is wrong with it. Large imports are streamed as
/// `application/x-ndjson`, one bucket a line, with the other fields as query parameters: at most 2 million lines, in
/// constant memory; a line that is not acceptable is listed under `/exceptions` by its number, and the job ends
/// `failed` once the others are written.
#[utoipa::path(
    post,
    path = "/v1/backfills",
    operation_id = "create_backfill",
    tag = "backfills",
    params(
        RequiredKeyHeader,
        StreamParameters,
    ),
    request_body(content(
        (OrderBody = "application/json"),
        (ImportedBucket = "application/x-ndjson"),
    ), description = "A job, at most 1 MiB; or a stream of buckets, one a line"),
    responses(
        (status = 201, description = "Planned", body = JobReply, headers(
            ("Location" = String, description = "The job"),
            ("ETag" = String, description = "Its version, as `If-Match` wants it"),
            ("Idempotency-Replayed" = String, description = "`true` where an earlier request with this key made the job"),
        )),
        (status = 404, description = "The user of a merge has no such device",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "A stream with this key is being read, or was not read to its end; or the job was \
            cancelled meanwhile; or the from-device of a merge has a bucket of a half hour that has not ended",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "Over 1 MiB, 5000 buckets, 2 million lines, or 50000 buckets of a merge",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither `application/json` nor `application/x-ndjson`",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Not acceptable: see `errors`; or the key stands for another request",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("viewer" = []), ("operator" = [])),
)]
pub async fn create_backfill(
    caller: Corrector,
    State(backfills): State<Backfills>,
    RawQuery(query): RawQuery,
    Parameters(parameters): Parameters,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let media_type = media_type(&headers);
    let text = key_text(&headers)?.ok_or_else(key_missing)?;
    let scope = digest(&[caller.user_id().as_bytes(), b"POST /v1/backfills", text]);
    let mut fingerprint = Fingerprint::new(&[media_type.as_bytes(), query.unwrap_or_default().as_bytes()]);
    if media_type == NDJSON {
        if !caller.is_operator() {
            return Err(merges_only());
        }
        let order = Order::parse_query(&parameters, backfills.limits())?;
        let key = PlanKey { scope, fingerprint: None };
        let planned = stream(&caller, &backfills, key, &order, fingerprint, request).await?;
        return reply(&backfills, planned);
    }
    if media_type != JSON {
        let detail = "Send `application/json`, or a stream of buckets as `application/x-ndjson`.";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    FieldReader::of_query(&parameters, &[], &[]).finish(Some(()))?;
    let JsonBytes(body) = JsonBytes::from_request(request, &()).await?;
    fingerprint.update(&body);
    let key = PlanKey { scope, fingerprint: Some(fingerprint.finish()) };
    let (mut order, buckets) =
        Order::parse_body(&body, backfills.limits(), &backfills.known_sources(caller.context()).await?)?;
    admit(&caller, &mut order)?;
    let planned = backfills.plan(caller.context(), caller.actor(), Some(&key), &order, &buckets).await?;
    reply(&backfills, planned)
}

/// A merge is of the caller's own user unless an operator names another one. Errors: 403 for a viewer's order that is no
/// merge, 404 for one of another user.
fn admit(caller: &Corrector, order: &mut Order) -> Result<(), Problem> {
    if order.action != Action::Merge {
        return if caller.is_operator() { Ok(()) } else { Err(merges_only()) };
    }
    let own = vec![caller.user_id()];
    match &order.user_ids {
        Some(users) if !caller.is_operator() && *users != own => {
            let violation = Violation::new("/user_ids", "unknown_user", "A viewer merges devices of its own user.");
            Err(Problem::new(Code::NotFound, "There is no such user for you.").violating(vec![violation]))
        }
        Some(_) => Ok(()),
        None => {
            order.user_ids = Some(own);
            Ok(())
        }
    }
}

fn merges_only() -> Problem {
    Problem::new(Code::WrongPrincipal, "A viewer token plans merges only; other jobs are for an operator token.")
}

fn key_missing() -> Problem {
    let detail = "A job needs a key, so that a repeated request does not make a second one.";
    Problem::invalid(vec![Violation::new("Idempotency-Key:", "missing", detail)])
}

async fn stream(
    operator: &Corrector,
    backfills: &Backfills,
    key: PlanKey,
    order: &Order,
    mut fingerprint: Fingerprint,
    request: Request,
) -> Result<Planned, Problem> {
    let mut chunks = TextChunks::new(request)?;
    let begun = backfills.begin_import(operator.context(), operator.actor(), Some(key), order).await?;
    let mut import = match begun {
        Ok(import) => import,
        Err(job) => {
            while let Some(chunk) = chunks.next().await? {
                fingerprint.update(&chunk);
            }
            return replayed(job, Some(&fingerprint.finish()));
        }
    };
    let read = read_lines(&mut import, &mut chunks, &mut fingerprint).await;
    if let Err(problem) = read {
        import.fail("abandoned").await;
        return Err(problem);
    }
    let job = import.finish(Some(&fingerprint.finish())).await?;
    Ok(Planned { job, replayed: false })
}

async fn read_lines(
    import: &mut Import<'_>,
    chunks: &mut TextChunks,
    fingerprint: &mut Fingerprint,
) -> Result<(), Problem> {
    let mut lines = Lines::default();
    while let Some(chunk) = chunks.next().await? {
        fingerprint.update(&chunk);
        // A chunk may hold many lines: in parts that end soon after a batch is full.
        for part in chunk.chunks(super::lines::LONGEST) {
            lines.feed(part, |number, line| import.take(number, line));
            if import.is_full() {
                import.stage().await?;
            }
        }
    }
    lines.finish(|number, line| import.take(number, line));
    Ok(())
}

fn reply(backfills: &Backfills, Planned { job, replayed }: Planned) -> Result<Response, Problem> {
    let header = |text: String| HeaderValue::from_str(&text).map_err(Problem::internal);
    let (location, tag) = (header(format!("/v1/backfills/{}", job.job_id))?, header(format!("\"{}\"", job.version))?);
    let body = JobReply::from(Shown { job, at: backfills.clock().now(), kept: Vec::new() });
    let mut response = (StatusCode::CREATED, [(LOCATION, location), (ETAG, tag)], Json(body)).into_response();
    if replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
