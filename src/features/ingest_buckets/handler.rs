//! `POST /v1/buckets`: from a request to verdicts.

use axum::Json;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::contract::{PostedBuckets, PreferHeader};
use super::prefer::handling;
use super::request;
use crate::kernel::access::{Device, Granted};
use crate::kernel::http::body::json;
use crate::kernel::http::keyed::KeyHeader;
use crate::kernel::http::refusals::Refusals;
use crate::kernel::idempotency::{IDEMPOTENCY_REPLAYED, IdempotencyKey, PREFER, header_lines, key_text};
use crate::kernel::problem::{Problem, ProblemBody};
use crate::kernel::usage::intake::{Handling, Intake, Receipt, Repeats, estimated_places};
use crate::kernel::usage::writer::{Rejection, Verdict};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What became of the buckets of one request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(super) struct ReceiptBody<'a> {
    /// Quote this when asking for help.
    request_id: Uuid,
    /// How many buckets the request held.
    #[schema(example = 4)]
    received: usize,
    /// First versions of their buckets.
    #[schema(example = 1)]
    inserted: usize,
    /// Replaced an older version with other counts.
    #[schema(example = 1)]
    updated: usize,
    /// The same counts stand.
    #[schema(example = 1)]
    unchanged: usize,
    /// A newer version stands.
    #[schema(example = 1)]
    stale: usize,
    /// Taken more than 25 days after their half hour, without `retracts`, against what was reported in time or against
    /// a larger total: that stands, although these are newer.
    #[schema(example = 0)]
    kept: usize,
    /// Another entry for the same bucket in the same commit won, with other counts.
    #[schema(example = 0)]
    superseded: usize,
    /// Without `observed_at`, against an operator's correction.
    #[schema(example = 0)]
    corrected: usize,
    /// Taken at or before their owner erased them.
    #[schema(example = 0)]
    erased: usize,
    /// Older than what the server keeps for this user.
    #[schema(example = 0)]
    before_retention_horizon: usize,
    /// Not acceptable: see `rejections`. Only with `Prefer: handling=lenient`.
    #[schema(example = 0)]
    rejected: usize,
    /// One a bucket, in the order of the request.
    #[schema(example = json!(["inserted", "updated", "unchanged", "stale"]))]
    verdicts: &'a [Verdict],
    /// Every violation in the rejected buckets, at most 20 a bucket; a bucket may have several.
    rejections: &'a [Rejection],
    /// Something that the owner may want to know, at most once a day a device. A repetition under an
    /// `Idempotency-Key` has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<HintBody>,
}

/// What the owner may want to know.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hint)]
pub(super) struct HintBody {
    /// `device_repeats_another`: at least half of what this new device has posted first is what another device of the
    /// user has, so that it counts twice. A merge of the two ends that: `POST /v1/backfills` with `action` `merge`.
    #[schema(example = "device_repeats_another")]
    code: &'static str,
    /// The other device.
    device_id: Uuid,
    /// How many of the first hundred buckets of this request it has, too.
    #[schema(example = 12)]
    equal_buckets: i64,
    /// What to do about it.
    detail: &'static str,
}

impl From<Repeats> for HintBody {
    fn from(Repeats { device_id, equal_buckets }: Repeats) -> Self {
        let detail = "Another device of this user has the same buckets. If it is the same machine, revoke the other \
            device and merge it into this one, or both count.";
        Self { code: "device_repeats_another", device_id, equal_buckets, detail }
    }
}

impl<'a> From<&'a Receipt> for ReceiptBody<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let count = |wanted| receipt.verdicts.iter().filter(|verdict| **verdict == wanted).count();
        Self {
            request_id: receipt.request_id,
            received: receipt.verdicts.len(),
            inserted: count(Verdict::Inserted),
            updated: count(Verdict::Updated),
            unchanged: count(Verdict::Unchanged),
            stale: count(Verdict::Stale),
            kept: count(Verdict::Kept),
            superseded: count(Verdict::Superseded),
            corrected: count(Verdict::Corrected),
            erased: count(Verdict::Erased),
            before_retention_horizon: count(Verdict::BeforeRetentionHorizon),
            rejected: count(Verdict::Rejected),
            verdicts: &receipt.verdicts,
            rejections: &receipt.rejections,
            hint: receipt.repeats.map(HintBody::from),
        }
    }
}

/// Post usage
///
/// Stores snapshots of what the token's device used. A bucket is absolute: post it again with new totals as they
/// change, or unchanged when an answer was lost; nothing is counted twice. Of two versions the one with the later
/// `observed_at` wins, at equal stamps the one with the greater counts. A version that was taken more than 25 days after
/// the end of its half hour replaces none that was taken earlier, unless it says `retracts`; among its like the larger
/// total wins. 200 means durable.
///
/// One bucket that is not acceptable fails the whole request, unless it says `Prefer: handling=lenient`: then the
/// others are written, and `rejections` says why it was not. The body may be compressed with gzip or zstd; all
/// members of gzip are one body.
#[utoipa::path(
    post,
    path = "/v1/buckets",
    operation_id = "ingest_buckets",
    tag = "ingest",
    params(
        PreferHeader,
        KeyHeader,
    ),
    request_body(content = PostedBuckets, description = "At most 500 buckets and 1 MiB, decompressed"),
    responses(
        (status = 200, description = "Durable, one verdict a bucket", body = ReceiptBody<'static>, headers(
            ("Preference-Applied" = String, description = "`handling=lenient` where that was asked for"),
            ("Idempotency-Replayed" = String, description = "`true` where the answer is of an earlier execution"),
        )),
        (status = 409, description = "Another process executes the request with this Idempotency-Key; or the device has \
            sent OpenTelemetry, and takes no snapshots",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 413, description = "More than 500 buckets, or more than 1 MiB decompressed: split the batch",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "Neither plain, gzip nor zstd JSON",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "Not acceptable: `errors` lists every violation, and nothing was written; \
            or the Idempotency-Key stands for another request",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("device" = [])),
)]
pub(super) async fn ingest_buckets(device: Device, intake: Intake, request: Request) -> Result<Response, Problem> {
    // The head stays where it is: of a small post a copy of it is dear.
    let (head, body) = request.into_parts();
    let body = json(&head, body).await?;
    let draft = intake.admit(estimated_places(&body, br#""hour_start""#))?;
    let key = key(&device, &head.headers, head.uri.query(), &body)?;
    let handling = handling(head.headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok()));
    let draft = request::parse(&body, draft.handled(handling).keyed(key))?;
    // Nothing of it is needed any more while the writer has its turn.
    drop(body);
    let receipt = intake.post(&device, draft).await?;
    Ok(reply(&receipt, handling))
}

/// The reply to an execution or to its repetition.
fn reply(receipt: &Receipt, handling: Handling) -> Response {
    let mut response = Json(ReceiptBody::from(receipt)).into_response();
    let headers = response.headers_mut();
    if receipt.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if handling == Handling::Lenient {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("handling=lenient"));
    }
    Granted::told(receipt.granted, response)
}

/// The request's `Idempotency-Key`. Two requests are the same when body, media type, query and `Prefer` are.
fn key(
    device: &Device,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    if key_text(headers)?.is_none() {
        return Ok(None);
    }
    let (media_type, prefer) = (header_lines(headers, CONTENT_TYPE), header_lines(headers, PREFER));
    let request = [body, &media_type, query.unwrap_or_default().as_bytes(), &prefer];
    IdempotencyKey::read(headers, device, "POST /v1/buckets", &request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_counts_each_verdict_once_and_its_counts_add_up() {
        let verdicts: Vec<_> = Verdict::ALL.into_iter().chain([Verdict::Rejected]).collect();
        let rejection = |index| Rejection { index, pointer: "/x".into(), code: "a".into(), detail: "b".into() };
        let rejections = [rejection(8), rejection(10), rejection(10)].into();
        let request_id = Uuid::nil();
        let receipt = Receipt { request_id, verdicts, rejections, replayed: false, granted: None, repeats: None };
        let body = serde_json::to_value(ReceiptBody::from(&receipt)).unwrap();
        for verdict in Verdict::ALL {
            assert_eq!(body[verdict.as_str()], if verdict == Verdict::Rejected { 2 } else { 1 }, "{body}");
        }
        assert_eq!((&body["received"], &body["verdicts"][10]), (&11.into(), &"rejected".into()));
        let rejection = r#"{"index":8,"pointer":"/x","code":"a","detail":"b"}"#;
        assert_eq!(serde_json::to_string(&receipt.rejections[0]).unwrap(), rejection);
        assert!(body.get("hint").is_none());
    }
}
