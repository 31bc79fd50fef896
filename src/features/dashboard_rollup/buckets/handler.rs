//! `GET /v1/buckets`: a page from one snapshot, or all pages as one stream, each from a snapshot of its own.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::stream::try_unfold;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::BucketsAnswer;
use super::contract::BucketsParameters;
use super::request::{BucketsRequest, RowKey};
use super::table::{BucketItem, Notation, encode};
use crate::features::dashboard_rollup::cells::{Cells, Paging};
use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::range::{self, PagePosition};
use crate::features::dashboard_rollup::reply::{self, ReplyMeta};
use crate::features::dashboard_rollup::snapshot::{Answered, UsageAnswers};
use crate::kernel::access::Viewer;
use crate::kernel::call::{CallOutcome, Place, RequestContext, RequestLogLine};
use crate::kernel::http::body::Parameters;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::refusals::{MediaTypeRefusal, QueryRefusal, Refusals, StreamRefusal};
use crate::kernel::problem::{Code, Problem};

/// A stream may take this long. A caller that reads more slowly goes on with pages.
const STREAM_LIMIT: Duration = Duration::from_mins(5);
/// Each read of a stream may take this long.
const CHUNK_LIMIT: Duration = Duration::from_secs(10);

/// A page of the user's buckets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StoredBuckets)]
pub struct BucketsReply {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// The IANA zone whose days these are.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Everything acknowledged before this instant is in the rollup, and here.
    as_of: DateTime<Utc>,
    /// True while newer changes, which are here already, wait to be folded.
    pending: bool,
    /// Rises when the user's rollup changes.
    version: i64,
    /// The buckets of this page by half hour, device, source and model, ascending.
    data: Vec<BucketItem>,
    /// Where to go on; null when this is all.
    next_cursor: Option<String>,
}

/// The user's own buckets
///
/// Buckets as they stand, by half hour, device, source and model. JSON comes in pages. NDJSON and CSV come as one stream
/// of everything behind `cursor`, or as a page where `limit` is given; `Link` leads from one page to the next. A stream
/// that cannot be finished is cut off, so that half of it cannot be taken for the whole. HTTP/1.0 cannot show a cut, so
/// there only pages are answered.
#[utoipa::path(
    get,
    path = "/v1/buckets",
    operation_id = "get_buckets",
    tag = "rollups",
    params(BucketsParameters),
    responses(
        (status = 200, description = "The buckets.",
            content((BucketsReply = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")),
            headers(("Link" = String, description = "The next page, `rel=\"next\"`, where there is one."),
                ("Halfhour-As-Of" = String, description = "`as_of`: everything acknowledged before it is here."),
                ("Halfhour-Pending" = bool, description = "`pending`: newer changes wait to be folded."),
                ("Halfhour-Version" = i64, description = "`version` of the rollup.")
            )),
        Refusals,
        MediaTypeRefusal,
        QueryRefusal,
        StreamRefusal,
    ),
    security(("viewer" = []))
)]
pub async fn get_buckets(
    viewer: Viewer,
    State(answers): State<UsageAnswers>,
    State(cursors): State<Cursors>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json, Media::Ndjson, Media::Csv])?;
    let (request, Paging { cursor, cells }) = BucketsRequest::parse(&parameters)?;
    let notation = Notation { media, cells: Cells::of(cells, media)? };
    let (context, user_id) = (viewer.context(), viewer.user_id());
    let list = format!("buckets {user_id} {}", range::canonical(&parameters));
    let request = request.after(cursor.map(|cursor| cursors.open(&list, &cursor)).transpose()?);
    if media != Media::Json && request.limit.is_none() {
        return stream(answers, context, user_id, request.in_largest_pages(), notation).await;
    }

    let Answered { state, days, answer } = answers.buckets(context, user_id, request).await?;
    let next_cursor = answer.next.map(|next| cursors.seal(&list, &next)).transpose()?;
    let next = next_cursor.as_ref().map(|next| format!("/v1/buckets?{}", range::next_query(&parameters, next)));
    let meta = ReplyMeta { state: &state, tag: None, next };
    if media != Media::Json {
        return meta.ok(media, encode(notation, answer.buckets, true)?);
    }
    meta.json(&BucketsReply {
        from: days.from,
        to: days.to,
        time_zone: state.time_zone().to_owned(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        data: answer.buckets.into_iter().map(BucketItem::from).collect(),
        next_cursor,
    })
}

/// All pages as one stream, each from a snapshot of its own. The headers say the state of the first one.
async fn stream(
    answers: UsageAnswers,
    context: &RequestContext,
    user_id: Uuid,
    request: Checked<BucketsRequest>,
    notation: Notation,
) -> Result<Response, Problem> {
    let Answered { state, answer, .. } = answers.buckets(context, user_id, request.clone()).await?;
    let BucketsAnswer { buckets, next } = answer;
    let (context, started) = (context.clone(), Instant::now());
    let rest = Rest { answers, context, user_id, request, notation, started, reading: Duration::ZERO, next };
    let first = encode(notation, buckets, true)?;
    ReplyMeta { state: &state, tag: None, next: None }.ok(notation.media, rest.behind(first))
}

/// The pages of a stream that are still to be read.
struct Rest {
    answers: UsageAnswers,
    /// The request that began the stream. Its deadline does not bind the stream.
    context: RequestContext,
    user_id: Uuid,
    request: Checked<BucketsRequest>,
    notation: Notation,
    started: Instant,
    /// How much of the time since then was spent on reading; the caller has had the rest.
    reading: Duration,
    /// Where the next page begins; `None` at the end.
    next: Option<PagePosition<RowKey>>,
}

impl Rest {
    /// The first page, and then page by page as the caller takes them. Between two pages it holds no connection.
    fn behind(self, first: Vec<u8>) -> Body {
        let parts = try_unfold((Some(first), self), async |(first, mut rest)| {
            if let Some(first) = first {
                return Ok(Some((first, (None, rest))));
            }
            let Some(next) = rest.next.take() else { return Ok(None) };
            let begun = &rest.context;
            let context = RequestContext::new(begun.request_id, begun.trace, CHUNK_LIMIT).within(begun.span.clone());
            match rest.read(&context, next).await {
                Ok(part) => Ok(Some((part, (None, rest)))),
                Err(problem) => Err(cut_off(&context, rest.started, &problem)),
            }
        });
        Body::from_stream(parts)
    }

    async fn read(&mut self, context: &RequestContext, next: PagePosition<RowKey>) -> Result<Vec<u8>, Problem> {
        let began = Instant::now();
        if began.duration_since(self.started) > STREAM_LIMIT {
            return Err(overdue(self.reading));
        }
        let request = self.request.clone().after(Some(next));
        let answered = self.answers.buckets(context, self.user_id, request).await?;
        self.reading += began.elapsed();
        let BucketsAnswer { buckets, next } = answered.answer;
        self.next = next;
        encode(self.notation, buckets, false)
    }
}

/// Whose time it was that a stream took too much of: the caller's, unless more than half of it was spent on reading.
fn overdue(reading: Duration) -> Problem {
    if reading * 2 > STREAM_LIMIT {
        return Problem::new(Code::DeadlineExceeded, "The stream could not be read in time.");
    }
    Problem::new(Code::RequestTimeout, "The stream was not taken in time; go on with pages.")
}

/// Writes the line of a stream that began well and ends in the middle; its caller sees the connection break.
fn cut_off(context: &RequestContext, started: Instant, problem: &Problem) -> io::Error {
    let place = Place {
        function: "get_buckets",
        stage: "stream",
        method: Some("GET"),
        route: Some("/v1/buckets"),
        principal: None,
    };
    RequestLogLine::new(context, place, &CallOutcome::Failed(problem), started.elapsed()).write();
    io::Error::other(problem.code().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_takes_too_long_is_the_callers_fault_unless_reading_took_the_time() {
        let half = STREAM_LIMIT / 2;
        for (reading, code) in [
            (Duration::ZERO, Code::RequestTimeout),
            (half, Code::RequestTimeout),
            (half + Duration::from_millis(1), Code::DeadlineExceeded),
            (STREAM_LIMIT, Code::DeadlineExceeded),
        ] {
            assert_eq!(overdue(reading).code(), code, "{reading:?}");
        }
    }
}
