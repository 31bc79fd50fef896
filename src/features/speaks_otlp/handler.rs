//! `POST /v1/logs`, `/v1/metrics` and `/v1/traces`: from an export to an answer in its encoding.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::Response;

use super::contract::{ExportedLogs, Protobuf};
use super::encoding::Encoding;
use super::export::{Export, at};
use super::reply::{Dropped, ExportLogsServiceResponse, encoded};
use super::request;
use crate::kernel::access::{Device, Granted};
use crate::kernel::http::body::{NoParameters, media_type, whole_within};
use crate::kernel::http::refusals::{BodyRefusals, ConflictRefusal, QueryRefusal, Refusals};
use crate::kernel::idempotency::refuse_key;
use crate::kernel::problem::{Code, Problem, ProblemBody};
use crate::kernel::usage::intake::Intake;
use crate::kernel::usage::writer::Verdict;

/// An export may be so large, decompressed, in bytes. Exporters do not know the limit of other routes, and a batch with
/// prompts in it is larger than what is read of it.
const EXPORT_LIMIT: usize = 4 * 1024 * 1024;

/// A body and its encoding.
pub(super) struct Exported(Encoding, Bytes);

impl<S: Send + Sync> FromRequest<S> for Exported {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let encoding = encoding_of(&parts)?;
        Ok(Self(encoding, whole_within(&parts, body, EXPORT_LIMIT).await?))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Encoding {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        encoding_of(parts)
    }
}

fn encoding_of(parts: &Parts) -> Result<Encoding, Problem> {
    let instead = "This route takes no Idempotency-Key: each record is counted once by itself. Leave the header out.";
    refuse_key(&parts.headers, instead)?;
    Encoding::of(&media_type(&parts.headers)).ok_or_else(|| {
        let detail = "Send `Content-Type: application/json` or `application/x-protobuf`: OTLP over HTTP has no other. OTLP \
            over gRPC is not spoken here.";
        Problem::new(Code::UnsupportedMediaType, detail)
    })
}

/// Export logs of a coding tool
///
/// OTLP over HTTP, in JSON or in protobuf, for the logs that Claude Code, Codex and Gemini CLI export themselves. Records
/// of usage are added to the buckets of the token's device, each once, however often it is sent: `claude_code.api_request`,
/// `codex.sse_event` of a completed response, and `gemini_cli.api_response`. Of them only counts, model, tool and time are
/// kept. Records of other kinds are passed over. 200 means durable. What is not acceptable is not counted, and
/// `partialSuccess` says how many records and why.
///
/// A device that has sent an export with usage takes no snapshots any more, and one that has posted snapshots takes no
/// exports: 409. The answer has the encoding of the request; failures of a request in protobuf are `google.rpc.Status`.
#[utoipa::path(
    post,
    path = "/v1/logs",
    operation_id = "export_logs",
    tag = "opentelemetry",
    request_body(
        content((ExportedLogs = "application/json"), (Protobuf = "application/x-protobuf")),
        description = "At most 4 MiB decompressed, and 2,000 records of usage",
    ),
    responses(
        (status = 200, description = "Durable",
            content((ExportLogsServiceResponse = "application/json"), (Protobuf = "application/x-protobuf"))),
        (status = 413, description = "More than 2,000 records of usage, or more than 4 MiB decompressed",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither JSON nor protobuf, plain or compressed with gzip or zstd",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "A parameter in the query, or a half hour that would hold too much",
            body = ProblemBody, content_type = "application/problem+json"),
        ConflictRefusal,
        Refusals,
    ),
    security(("device" = [])),
)]
pub(super) async fn export_logs(
    device: Device,
    intake: Intake,
    _: NoParameters,
    Exported(encoding, body): Exported,
) -> Result<Response, Problem> {
    let tally = intake.admit_records(&device, request::estimated_records(&body))?;
    let Export { tally, places, mut rejected } = request::read(encoding, &body, tally)?;
    // Nothing of it is needed any more while the writer has its turn.
    drop(body);
    let receipt = intake.count(&device, tally).await?;
    for (place, verdict) in places.into_iter().zip(receipt.verdicts) {
        let detail = match verdict {
            Verdict::Erased => "Its owner has deleted this usage.",
            Verdict::BeforeRetentionHorizon => "It is older than what is kept for this user.",
            _ => continue,
        };
        rejected.add(vec![at(place, None, (verdict.as_str(), detail.into()))]);
    }
    Ok(Granted::told(receipt.granted, answer(&ExportLogsServiceResponse::from(&rejected), encoding)))
}

/// Throw metrics away
///
/// Tools that export logs often export metrics, too, with the same usage again. They are answered, so that no exporter
/// complains, and nothing of them is read or kept.
#[utoipa::path(
    post, path = "/v1/metrics", operation_id = "drop_metrics", tag = "opentelemetry",
    request_body(content((serde_json::Value = "application/json"), (Protobuf = "application/x-protobuf"))),
    responses(
        (status = 200, description = "Thrown away",
            content((Dropped = "application/json"), (Protobuf = "application/x-protobuf"))),
        BodyRefusals,
        QueryRefusal,
        Refusals,
    ),
    security(("device" = [])),
)]
pub(super) async fn drop_metrics(_: Device, _: NoParameters, encoding: Encoding) -> Response {
    answer(&Dropped {}, encoding)
}

/// Throw traces away
///
/// As metrics.
#[utoipa::path(
    post, path = "/v1/traces", operation_id = "drop_traces", tag = "opentelemetry",
    request_body(content((serde_json::Value = "application/json"), (Protobuf = "application/x-protobuf"))),
    responses(
        (status = 200, description = "Thrown away",
            content((Dropped = "application/json"), (Protobuf = "application/x-protobuf"))),
        BodyRefusals,
        QueryRefusal,
        Refusals,
    ),
    security(("device" = [])),
)]
pub(super) async fn drop_traces(_: Device, _: NoParameters, encoding: Encoding) -> Response {
    answer(&Dropped {}, encoding)
}

fn answer(message: &(impl prost::Message + serde::Serialize), encoding: Encoding) -> Response {
    let mut response = Response::new(Body::from(encoded(message, encoding)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
    response
}
