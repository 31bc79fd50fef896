//! `GET /v1/buckets`: a page from one snapshot, or all pages as one stream, each from a snapshot of its own.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::stream;
use serde::Serialize;
use utoipa::ToSchema;

use super::request::{BucketsRequest, RowKey};
use super::store::{self, BucketRow};
use super::table::{BucketItem, encode};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::range::{self, DayRange, PagePosition, Scope};
use crate::features::dashboard_rollup::reply::{self, ReplyMeta};
use crate::features::dashboard_rollup::state::{Reader, RollupState};
use crate::kernel::access::Viewer;
use crate::kernel::call::{CallOutcome, Place, RequestContext, RequestLogLine};
use crate::kernel::clock::Clock;
use crate::kernel::database::{Pools, Tx};
use crate::kernel::http::body::Parameters;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::refusals::Refusals;
use crate::kernel::problem::{Code, Problem, ProblemBody};

/// A page of JSON holds this many buckets where nothing else is said.
const DEFAULT_LIMIT: u16 = 100;
/// A stream reads this many buckets at a time, and holds no more.
const CHUNK: u16 = 1000;
/// A stream may take this long; a caller that reads more slowly goes on with pages.
const STREAM_LIMIT: Duration = Duration::from_mins(5);
/// Each of its reads may take this long.
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
/// that cannot be finished is cut off, so that half of it cannot be taken for the whole.
#[utoipa::path(
    get,
    path = "/v1/buckets",
    operation_id = "get_buckets",
    tag = "rollups",
    params(
        ("from" = Option<NaiveDate>, Query, description = "First local day; by default 29 days before `to`."),
        ("to" = Option<NaiveDate>, Query, description = "Last local day, inclusive; by default today. At most 31 days."),
        ("time_zone" = Option<String>, Query, description = "Whose days; by default the rollup's."),
        ("source" = Option<Vec<String>>, Query, description = "Only this tool; repeatable, at most 100."),
        ("model" = Option<Vec<String>>, Query, description = "Only this model; repeatable, at most 100."),
        ("device" = Option<Vec<Uuid>>, Query, description = "Only this device; repeatable, at most 100."),
        ("limit" = Option<u16>, Query, description = "Buckets on a page: 1 to 1000, by default 100 in JSON."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, with the same parameters."),
    ),
    responses(
        (status = 200, description = "The buckets.",
            content((BucketsReply = "application/json"), (String = "application/x-ndjson"), (String = "text/csv")),
            headers(("Link" = String, description = "The next page, `rel=\"next\"`, where there is one."))),
        (status = 406, description = "The caller accepts none of JSON, NDJSON and CSV.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The query is not acceptable, or reaches behind retention: see `errors`.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = []))
)]
pub async fn get_buckets(
    viewer: Viewer,
    State(pools): State<Pools>,
    State(clock): State<Clock>,
    State(cursors): State<Cursors>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json, Media::Ndjson, Media::Csv])?;
    let request = BucketsRequest::parse(&parameters)?;
    let user_id = viewer.user_id();
    let range = format!("buckets {user_id} {}", range::canonical(&parameters));
    let position = request.cursor.as_deref().map(|cursor| cursors.open(&range, cursor)).transpose()?;
    let is_stream = media != Media::Json && request.limit.is_none();
    let limit = if is_stream { CHUNK } else { request.limit.unwrap_or(DEFAULT_LIMIT) };
    let reader = Reader { pool: pools.read, clock, user_id };
    let mut pages = Pages { reader, request, position, limit };

    let Page { state, days, buckets, goes_on } = pages.next(viewer.context()).await?;
    let end =
        buckets.last().filter(|_| goes_on).map(|last| PagePosition::new(days, state.time_zone(), last.key.clone()));
    if is_stream {
        let rest = Rest { context: viewer.context().clone(), started: Instant::now(), media };
        let first = encode(media, buckets, true)?;
        pages.position = end;
        return ReplyMeta { state: &state, tag: None, next: None }.ok(media, rest.stream(first, pages));
    }
    let next_cursor = end.map(|end| cursors.seal(&range, &end)).transpose()?;
    let next = next_cursor.as_ref().map(|next| format!("/v1/buckets?{}", range::next_query(&parameters, next)));
    let about = ReplyMeta { state: &state, tag: None, next };
    if media != Media::Json {
        return about.ok(media, encode(media, buckets, true)?);
    }
    about.json(&BucketsReply {
        from: days.from,
        to: days.to,
        time_zone: state.time_zone().to_owned(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        data: buckets.into_iter().map(BucketItem::from).collect(),
        next_cursor,
    })
}

/// Reads one page after the other.
struct Pages {
    reader: Reader,
    request: BucketsRequest,
    /// Where the next page begins.
    position: Option<PagePosition<RowKey>>,
    limit: u16,
}

/// A page and the state in whose snapshot it was read.
struct Page {
    state: RollupState,
    days: DayRange,
    buckets: Vec<BucketRow>,
    /// There are more buckets behind these.
    goes_on: bool,
}

impl Pages {
    async fn next(&self, context: &RequestContext) -> Result<Page, Problem> {
        let read = async |tx: &mut Tx, state: RollupState| self.read(tx, state).await;
        self.reader.in_snapshot(context, self.request.time_zone.as_deref(), read).await
    }

    async fn read(&self, tx: &mut Tx, state: RollupState) -> Result<Page, Problem> {
        let Self { request, position, .. } = self;
        let user_id = self.reader.user_id;
        let days = request.resolve(&state, position.as_ref())?;
        let first_instant = store::first_instant(tx, days.from, state.time_zone()).await?;
        let instead = "Ask for later days, or for their sums at GET /v1/rollups.";
        state.refuse_removed(tx, user_id, first_instant, instead).await?;
        let scope = Scope { user_id, days, filters: &request.filters, time_zone: state.time_zone() };
        let after = position.as_ref().map_or_else(RowKey::before_all, |position| position.after.clone());
        // One more than fits tells whether there is more.
        let mut buckets = store::bucket_page(tx, &scope, &after, i64::from(self.limit) + 1).await?;
        let goes_on = buckets.len() > usize::from(self.limit);
        buckets.truncate(self.limit.into());
        Ok(Page { state, days, buckets, goes_on })
    }
}

/// The pages of a stream behind its first one.
struct Rest {
    /// The request that began it, whose deadline does not bind the stream.
    context: RequestContext,
    started: Instant,
    media: Media,
}

impl Rest {
    /// The first page, and then page by page as the caller takes them. Between two pages it holds no connection.
    fn stream(self, first: Vec<u8>, pages: Pages) -> Body {
        let parts = stream::try_unfold((Some(first), pages), move |(first, mut pages)| {
            let context = RequestContext::new(self.context.request_id, self.context.trace.clone(), CHUNK_LIMIT);
            let (started, media) = (self.started, self.media);
            async move {
                if let Some(first) = first {
                    return Ok(Some((first, (None, pages))));
                }
                if pages.position.is_none() {
                    return Ok(None);
                }
                match next_part(&context, started, media, &mut pages).await {
                    Ok(part) => Ok(Some((part, (None, pages)))),
                    Err(problem) => Err(cut_off(&context, started, &problem)),
                }
            }
        });
        Body::from_stream(parts)
    }
}

async fn next_part(
    context: &RequestContext,
    started: Instant,
    media: Media,
    pages: &mut Pages,
) -> Result<Vec<u8>, Problem> {
    if started.elapsed() > STREAM_LIMIT {
        return Err(Problem::new(Code::DeadlineExceeded, "The stream was not taken in time."));
    }
    let Page { state, days, buckets, goes_on } = pages.next(context).await?;
    let end =
        buckets.last().filter(|_| goes_on).map(|last| PagePosition::new(days, state.time_zone(), last.key.clone()));
    pages.position = end;
    encode(media, buckets, false)
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
