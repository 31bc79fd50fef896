//! `POST /v1/buckets`: from a request to verdicts.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use axum::Json;
use axum::extract::{FromRef, FromRequestParts, RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::acceptance::Acceptance;
use super::contract::PostedBuckets;
use super::prefer::{Handling, handling};
use super::{Settings, request};
use crate::kernel::access::{Device, Granted, Limit, Refused};
use crate::kernel::clock::Clock;
use crate::kernel::http::body::JsonBytes;
use crate::kernel::http::refusals::Refusals;
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::{Code, Problem, ProblemBody};
use crate::kernel::usage::idempotency::{IDEMPOTENCY_REPLAYED, IdempotencyKey};
use crate::kernel::usage::writer::{self, Writer};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What an operator switched off stays off for a while.
const RETRY_SWITCHED_OFF_S: u64 = 30;

/// What became of the buckets of one request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Receipt {
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
    verdicts: Vec<Verdict>,
    /// Every violation in the rejected buckets, at most 20 a bucket; a bucket may have several.
    #[schema(value_type = Vec<Rejection>)]
    rejections: Box<RawValue>,
}

/// What became of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Inserted,
    Updated,
    Unchanged,
    Stale,
    Superseded,
    Corrected,
    Erased,
    BeforeRetentionHorizon,
    Rejected,
}

impl From<writer::Verdict> for Verdict {
    fn from(verdict: writer::Verdict) -> Self {
        match verdict {
            writer::Verdict::Inserted => Self::Inserted,
            writer::Verdict::Updated => Self::Updated,
            writer::Verdict::Unchanged => Self::Unchanged,
            writer::Verdict::Stale => Self::Stale,
            writer::Verdict::Superseded => Self::Superseded,
            writer::Verdict::Corrected => Self::Corrected,
            writer::Verdict::Erased => Self::Erased,
            writer::Verdict::BeforeRetentionHorizon => Self::BeforeRetentionHorizon,
        }
    }
}

/// One thing wrong with one bucket.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rejection {
    /// The bucket's place in the request, from 0.
    #[schema(example = 3)]
    index: usize,
    /// RFC 6901 JSON pointer into the body.
    #[schema(example = "/buckets/3/hour_start")]
    pointer: String,
    /// A stable word for the rule that was broken.
    #[schema(example = "not_a_half_hour")]
    code: &'static str,
    /// What was expected, in a sentence.
    detail: String,
}

impl From<request::Rejection> for Rejection {
    fn from(request::Rejection { index, violation }: request::Rejection) -> Self {
        Self { index, pointer: violation.pointer, code: violation.code, detail: violation.detail }
    }
}

impl Receipt {
    fn new(request_id: Uuid, verdicts: Vec<Verdict>, rejections: Box<RawValue>) -> Self {
        let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        Self {
            request_id,
            received: verdicts.len(),
            inserted: count(Verdict::Inserted),
            updated: count(Verdict::Updated),
            unchanged: count(Verdict::Unchanged),
            stale: count(Verdict::Stale),
            superseded: count(Verdict::Superseded),
            corrected: count(Verdict::Corrected),
            erased: count(Verdict::Erased),
            before_retention_horizon: count(Verdict::BeforeRetentionHorizon),
            rejected: count(Verdict::Rejected),
            verdicts,
            rejections,
        }
    }
}

/// Trackers may post: the switch is asked before anything of the body is read.
pub(super) struct Open;

impl<S: Send + Sync> FromRequestParts<S> for Open
where
    Switches: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(_parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if Switches::from_ref(state).is_on(Switch::Ingest) {
            return Ok(Self);
        }
        Err(Problem::new(Code::SwitchedOff, "Posting is switched off for now; nothing was written.")
            .retry_after(RETRY_SWITCHED_OFF_S))
    }
}

/// Post usage
///
/// Stores snapshots of what the token's device used. A bucket is absolute: post it again with new totals as they
/// change, or unchanged when an answer was lost; nothing is counted twice. Of two versions the one with the later
/// `observed_at` wins, at equal stamps the one with the greater counts. 200 means durable.
///
/// One bucket that is not acceptable fails the whole request, unless it says `Prefer: handling=lenient`: then the
/// others are written, and `rejections` says why it was not. The body may be compressed with gzip or zstd.
#[utoipa::path(
    post,
    path = "/v1/buckets",
    operation_id = "ingest_buckets",
    tag = "ingest",
    params(
        ("Prefer" = Option<String>, Header, description = "RFC 7240", example = "handling=lenient"),
        ("Idempotency-Key" = Option<String>, Header,
            description = "1 to 255 printable ASCII characters. Repeated with the same request within 24 hours it gets \
                the first answer again"),
    ),
    request_body(content = PostedBuckets, description = "At most 500 buckets and 1 MiB, decompressed"),
    responses(
        (status = 200, description = "Durable, one verdict a bucket", body = Receipt, headers(
            ("Preference-Applied" = String, description = "`handling=lenient` where that was asked for"),
            ("Idempotency-Replayed" = String, description = "`true` where the answer is of an earlier execution"),
        )),
        (status = 409, description = "Another process executes the request with this Idempotency-Key",
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
    security(("bearer" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is one thing that the request is looked at for")]
pub(super) async fn ingest_buckets(
    State(settings): State<Settings>,
    State(clock): State<Clock>,
    State(writer): State<Writer>,
    device: Device,
    _open: Open,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    JsonBytes(body): JsonBytes,
) -> Result<Response, Problem> {
    writer.check_room(estimated_buckets(&body))?;
    let key = key(&device, &headers, query.as_deref(), &body)?;
    let handling = handling(headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok()));
    let acceptance = Acceptance { now: clock.now(), max_age_days: settings.max_age_days };
    let batch = match (request::parse(&body, &acceptance, || clock.stamp())?.accept(handling), &key) {
        (Ok(batch), _) => batch,
        // What was acceptable when it was executed may have become too old since.
        (Err(refused), Some(key)) => {
            let written = writer.answered(&device, key).await?.ok_or(refused)?;
            return receipt(written, "[]".to_owned(), handling);
        }
        (Err(refused), None) => return Err(refused),
    };
    let granted = match grant(settings.allowance.as_ref(), &device, batch.entries.len()) {
        Ok(granted) => granted,
        Err(refused) => return Ok(refused.into_response()),
    };

    let rejections: Vec<_> = batch.rejections.into_iter().map(Rejection::from).collect();
    let rejections = serde_json::to_string(&rejections).map_err(Problem::internal)?;
    let key = key.map(|key| key.with_rejections(rejections.clone()));

    let written = writer.write(&device, batch.entries.into_iter().flatten().collect(), key).await?;
    let mut response = receipt(written, rejections, handling)?;
    if let Some(granted) = granted {
        granted.describe(response.headers_mut());
    }
    Ok(response)
}

/// The reply to an execution or to its repetition. `rejections` are those of this request.
fn receipt(written: writer::Written, rejections: String, handling: Handling) -> Result<Response, Problem> {
    let rejections = match written.rejections {
        Some(answered) => answered,
        // There were none then, whatever the rules say of the same buckets now.
        None if written.replayed => "[]".to_owned(),
        None => rejections,
    };
    let rejections = RawValue::from_string(rejections).map_err(Problem::internal)?;
    let verdicts = in_their_places(&rejections, written.verdicts)?;
    let mut response = Json(Receipt::new(written.request_id, verdicts, rejections)).into_response();
    if written.replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if handling == Handling::Lenient {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("handling=lenient"));
    }
    Ok(response)
}

/// Takes a whole post from the device's buckets an hour; one without buckets is free.
fn grant(allowance: Option<&Limit>, device: &Device, buckets: usize) -> Result<Option<Granted>, Refused> {
    let buckets = u32::try_from(buckets).ok().and_then(NonZeroU32::new);
    allowance.zip(buckets).map(|(limit, buckets)| limit.take(device.device_id(), buckets)).transpose()
}

/// How many buckets a body seems to hold, without parsing it.
fn estimated_buckets(body: &[u8]) -> usize {
    memchr::memmem::find_iter(body, br#""hour_start""#).count()
}

/// The request's `Idempotency-Key`. Two requests are the same when body, media type, query and `Prefer` are.
fn key(
    device: &Device,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    let values =
        |name: HeaderName| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',');
    let (media_type, prefer) = (values(CONTENT_TYPE), values(PREFER));
    let request = [body, &media_type, query.unwrap_or_default().as_bytes(), &prefer];
    IdempotencyKey::read(headers, device, "POST /v1/buckets", &request)
}

/// The writer's verdicts at the places of the accepted buckets, `rejected` at those that `rejections` names.
fn in_their_places(rejections: &RawValue, written: Vec<writer::Verdict>) -> Result<Vec<Verdict>, Problem> {
    #[derive(Deserialize)]
    struct Place {
        index: usize,
    }
    let places: Vec<Place> = serde_json::from_str(rejections.get()).map_err(Problem::internal)?;
    let rejected: BTreeSet<usize> = places.into_iter().map(|place| place.index).collect();
    let received = written.len() + rejected.len();
    let mut written = written.into_iter().map(Verdict::from);
    let mut verdict = |index| if rejected.contains(&index) { None } else { written.next() };
    Ok((0..received).map(|index| verdict(index).unwrap_or(Verdict::Rejected)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: [writer::Verdict; 8] = writer::Verdict::ALL;

    #[test]
    fn verdicts_are_spelled_as_the_writer_spells_them() {
        for verdict in WRITTEN {
            assert_eq!(serde_json::to_value(Verdict::from(verdict)).unwrap(), verdict.as_str());
        }
    }

    #[test]
    fn a_receipt_has_one_verdict_a_bucket_in_its_place_and_its_counts_add_up() {
        let rejections = r#"[{"index":1,"code":"a"},{"index":1,"code":"b"},{"index":5,"code":"a"}]"#;
        let rejections = RawValue::from_string(rejections.to_owned()).unwrap();
        let verdicts = in_their_places(&rejections, WRITTEN.to_vec()).unwrap();
        assert_eq!((verdicts[0], verdicts[1], verdicts[2]), (Verdict::Inserted, Verdict::Rejected, Verdict::Updated));
        assert_eq!((verdicts[5], verdicts[8]), (Verdict::Rejected, Verdict::Erased));
        assert_eq!(verdicts[9], Verdict::BeforeRetentionHorizon);
        let receipt = serde_json::to_value(Receipt::new(Uuid::nil(), verdicts, rejections)).unwrap();
        let names = WRITTEN.map(writer::Verdict::as_str);
        assert!(names.iter().all(|name| receipt[name] == 1), "{receipt}");
        assert_eq!((&receipt["rejected"], &receipt["received"]), (&2.into(), &10.into()));
    }
}
