//! `GET /v1/rollups`: one snapshot of the user's usage, with its totals and how fresh it is.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::request::{GroupBy, ResultKey, RollupsRequest, Width};
use super::store::{self, GroupSums, ResultsPage, Span};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::range::{self, PagePosition, Scope};
use crate::features::dashboard_rollup::reply::{self, ReplyMeta, Tag};
use crate::features::dashboard_rollup::state::{Reader, RollupState};
use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::access::Viewer;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Pools, Tx};
use crate::kernel::http::body::Parameters;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::refusals::Refusals;
use crate::kernel::problem::{Problem, ProblemBody};

/// No range has more intervals than this: 31 days have fewer half hours.
const MAX_INTERVALS: i64 = 2000;

/// Usage by interval.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rollups)]
pub struct RollupsReply {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// How long an interval is: `half_hour`, `day` or `month`.
    #[schema(example = "day")]
    width: &'static str,
    /// The IANA zone whose days these are.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// The groups within an interval, in the order in which results are sorted.
    #[schema(example = json!(["source"]))]
    group_by: Vec<&'static str>,
    /// Everything acknowledged before this instant is in the sums.
    as_of: DateTime<Utc>,
    /// True while newer changes wait to be folded.
    pending: bool,
    /// Rises when the user's rollup changes.
    version: i64,
    /// The sums of the whole range and all filters, whatever the page.
    totals: Counters,
    /// The intervals of this page, ascending.
    data: Vec<Interval>,
    /// Where to go on; null when this is all.
    next_cursor: Option<String>,
}

/// One interval.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollupInterval)]
pub struct Interval {
    /// Its first instant.
    start: DateTime<Utc>,
    /// The first instant after it.
    end: DateTime<Utc>,
    /// The local date `2026-11-01`, the month `2026-11`, or the local start of the half hour `2026-11-01T00:30`.
    #[schema(example = "2026-11-01")]
    label: String,
    /// One result for each group that has usage; without `group_by` exactly one.
    results: Vec<GroupResult>,
}

/// The sums of one group in one interval. A group's column is present when asked for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollupResult)]
pub struct GroupResult {
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// The device's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Uuid>,
    #[serde(flatten)]
    counters: Counters,
}

/// Usage by half hour, day or month
///
/// Sums over the user's buckets, by interval in local time and, if asked, by source, model and device. `totals` covers
/// the whole range and all filters, whatever the page. `as_of` and `pending` say how fresh the sums are. As CSV the
/// results are rows under a header line; `Halfhour-As-Of`, `Halfhour-Pending`, `Halfhour-Version` and `Link` say the rest.
#[utoipa::path(
    get,
    path = "/v1/rollups",
    operation_id = "get_rollups",
    tag = "rollups",
    params(
        ("from" = Option<NaiveDate>, Query, description = "First local day; by default 29 days before `to`."),
        ("to" = Option<NaiveDate>, Query, description = "Last local day, inclusive; by default today."),
        ("width" = Option<String>, Query,
            description = "`half_hour` (at most 31 days), `day` (800 days; the default) or `month` (120 months)."),
        ("time_zone" = Option<String>, Query,
            description = "Whose days; by default the rollup's. Another zone is served for at most 31 days."),
        ("group_by" = Option<Vec<String>>, Query,
            description = "Any of `source`, `model`, `device`; repeated, or separated by commas."),
        ("source" = Option<Vec<String>>, Query, description = "Count only this tool; repeatable, at most 100."),
        ("model" = Option<Vec<String>>, Query, description = "Count only this model; repeatable, at most 100."),
        ("device" = Option<Vec<Uuid>>, Query, description = "Count only this device; repeatable, at most 100."),
        ("fill" = Option<String>, Query,
            description = "`none` leaves out intervals without usage, `zero` shows them; `zero` only without `group_by`."),
        ("limit" = Option<u16>, Query, description = "Results on a page: 1 to 1000, by default 1000."),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before, with the same parameters."),
        ("If-None-Match" = Option<String>, Header, description = "Validators of replies that the caller has."),
    ),
    responses(
        (status = 200, description = "The sums.", content((RollupsReply = "application/json"), (String = "text/csv")),
            headers(("ETag" = String, description = "A weak validator."),
                ("Link" = String, description = "The next page, `rel=\"next\"`, where there is one."))),
        (status = 304, description = "The caller has this reply already; it is true as of `Date`."),
        (status = 406, description = "The caller accepts neither JSON nor CSV.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The query is not acceptable: see `errors`.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = []))
)]
pub async fn get_rollups(
    viewer: Viewer,
    State(pools): State<Pools>,
    State(clock): State<Clock>,
    State(cursors): State<Cursors>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json, Media::Csv])?;
    let request = RollupsRequest::parse(&parameters)?;
    let user_id = viewer.user_id();
    let range = format!("rollups {user_id} {}", range::canonical(&parameters));
    let position = request.cursor.as_deref().map(|cursor| cursors.open(&range, cursor)).transpose()?;

    let asked = Asked { user_id, range, request, position, parameters, headers, media };
    let reader = Reader { pool: pools.read, clock, user_id };
    let respond = async |tx: &mut Tx, state: RollupState| respond(tx, &state, &asked, &cursors).await;
    reader.in_snapshot(viewer.context(), asked.request.time_zone.as_deref(), respond).await
}

/// What one request asks for.
struct Asked {
    user_id: Uuid,
    /// What its cursors belong to.
    range: String,
    request: RollupsRequest,
    position: Option<PagePosition<ResultKey>>,
    parameters: Vec<(String, String)>,
    headers: HeaderMap,
    media: Media,
}

async fn respond(tx: &mut Tx, state: &RollupState, asked: &Asked, cursors: &Cursors) -> Result<Response, Problem> {
    let Asked { user_id, request, parameters, headers, media, .. } = asked;
    let days = request.resolve(state, asked.position.as_ref())?;
    let mut about = ReplyMeta { state, tag: None, next: None };
    // What is folded changes with the version only, so that it need not be read to be known.
    if !request.is_from_buckets(state) {
        about.tag = Some(Tag::new(*user_id, state, days, parameters, *media, &())?);
        if let Some(response) = about.not_modified(headers)? {
            return Ok(response);
        }
    }
    let scope = Scope { user_id: *user_id, days, filters: &request.filters, time_zone: state.time_zone() };
    let answer = read(tx, request, state, &scope, asked.position.as_ref().map(|position| &position.after)).await?;
    let next_cursor = match answer.rows.last().filter(|_| answer.goes_on) {
        Some(last) => Some(cursors.seal(&asked.range, &PagePosition::new(days, state.time_zone(), last.key.clone()))?),
        None => None,
    };
    about.next = next_cursor.as_ref().map(|next| format!("/v1/rollups?{}", range::next_query(parameters, next)));
    let data = intervals(answer.rows, &answer.spans, request.width, request.group_by)?;
    // Usage may move between the half hours of a day without a change of its sums, and from behind this page before it.
    if request.is_from_buckets(state) {
        about.tag =
            Some(Tag::new(*user_id, state, days, parameters, *media, &(&answer.totals, &data, answer.goes_on))?);
        if let Some(response) = about.not_modified(headers)? {
            return Ok(response);
        }
    }
    if *media == Media::Csv {
        return about.ok(*media, csv(&data, request.group_by)?);
    }
    about.json(&RollupsReply {
        from: days.from,
        to: days.to,
        width: request.width.as_str(),
        time_zone: state.time_zone().to_owned(),
        group_by: request.group_by.names(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        totals: answer.totals,
        data,
        next_cursor,
    })
}

/// What the database says to one page.
struct Answer {
    totals: Counters,
    spans: Vec<Span>,
    rows: Vec<GroupSums>,
    /// There are more results behind these.
    goes_on: bool,
}

async fn read(
    tx: &mut Tx,
    request: &RollupsRequest,
    state: &RollupState,
    scope: &Scope<'_>,
    after: Option<&ResultKey>,
) -> Result<Answer, Problem> {
    let from_buckets = request.is_from_buckets(state);
    let spans = match request.width {
        Width::HalfHour => store::half_hours(tx, scope).await?,
        width => store::intervals(tx, scope, width).await?,
    };
    if let Some(first) = spans.first().filter(|_| from_buckets) {
        let instead = "Ask for later days, or for width=day in the rollup's own time zone.";
        state.refuse_removed(tx, scope.user_id, first.starts_at, instead).await?;
    }
    // One more than fits tells whether there is more. Intervals to fill are few enough to take them all.
    let limit = i64::try_from(request.limit).map_err(Problem::internal)? + 1;
    let (width, group_by) = (request.width, request.group_by);
    let page = if request.fills {
        ResultsPage { width, group_by, after: None, limit: MAX_INTERVALS }
    } else {
        ResultsPage { width, group_by, after, limit }
    };
    let mut rows = if from_buckets {
        store::bucket_results(tx, scope, &page).await?
    } else {
        store::daily_results(tx, scope, &page).await?
    };
    // Where this is all there is, it adds up to the totals; else they are asked for.
    let is_all = after.is_none() && rows.len() <= request.limit || request.fills;
    let totals = if is_all {
        rows.iter().map(|row| row.sums).sum()
    } else if from_buckets {
        store::bucket_totals(tx, scope).await?
    } else {
        store::daily_totals(tx, scope).await?
    };
    if request.fills {
        rows = filled(rows, &spans);
        rows.retain(|row| after.is_none_or(|after| row.key > *after));
    }
    let goes_on = rows.len() > request.limit;
    rows.truncate(request.limit);
    Ok(Answer { totals, spans, rows, goes_on })
}

/// One row an interval, zero where there is none.
fn filled(rows: Vec<GroupSums>, spans: &[Span]) -> Vec<GroupSums> {
    let mut rows = rows.into_iter().peekable();
    let zero = |at| GroupSums {
        key: ResultKey { at, source: String::new(), model: String::new(), device: Uuid::nil() },
        sums: Counters::default(),
    };
    spans.iter().map(|span| rows.next_if(|row| row.key.at == span.at).unwrap_or_else(|| zero(span.at))).collect()
}

/// Gathers the results of each interval; both come in one order. Errors: 500 for a result outside of every interval.
fn intervals(rows: Vec<GroupSums>, spans: &[Span], width: Width, by: GroupBy) -> Result<Vec<Interval>, Problem> {
    let mut intervals = Vec::<Interval>::new();
    let mut spans = spans.iter().peekable();
    for GroupSums { key, sums } in rows {
        while spans.next_if(|span| span.at < key.at).is_some() {}
        let span = spans.peek().filter(|span| span.at == key.at);
        let span = span.ok_or_else(|| Problem::internal(format!("no interval of the range begins at {}", key.at)))?;
        let result = GroupResult {
            source: by.source.then_some(key.source),
            model: by.model.then_some(key.model),
            device: by.device.then_some(key.device),
            counters: sums,
        };
        match intervals.last_mut() {
            Some(last) if last.start == span.starts_at => last.results.push(result),
            _ => intervals.push(Interval {
                start: span.starts_at,
                end: span.ends_at,
                label: label(span, width),
                results: vec![result],
            }),
        }
    }
    Ok(intervals)
}

fn label(span: &Span, width: Width) -> String {
    let format = match width {
        Width::HalfHour => "%Y-%m-%dT%H:%M",
        Width::Day => "%Y-%m-%d",
        Width::Month => "%Y-%m",
    };
    span.local_start.format(format).to_string()
}

/// The same results as a table.
fn csv(intervals: &[Interval], by: GroupBy) -> Result<Vec<u8>, Problem> {
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut names = vec!["start", "end", "label"];
    names.extend(by.names());
    names.extend(Counters::NAMES);
    table.write_record(names).map_err(Problem::internal)?;
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    for interval in intervals {
        for result in &interval.results {
            let mut row = vec![instant(interval.start), instant(interval.end), interval.label.clone()];
            row.extend(result.source.clone());
            row.extend(result.model.clone());
            row.extend(result.device.map(|device| device.to_string()));
            row.extend(result.counters.values().map(|count| count.to_string()));
            table.write_record(row).map_err(Problem::internal)?;
        }
    }
    table.into_inner().map_err(|error| Problem::internal(error.to_string()))
}
