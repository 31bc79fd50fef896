//! `GET /v1/rollups`: which media type and which page is asked for, and the answer as JSON or CSV.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::answer::IntervalSums;
use super::contract::{RollupsParameters, widths};
use super::request::{GroupBy, RollupsRequest};
use super::store::GroupSums;
use super::width::Width;
use crate::features::dashboard_rollup::cells::{Cells, Paging};
use crate::features::dashboard_rollup::contract::{NotModified, week_starts};
use crate::features::dashboard_rollup::cost::{CostReply, PricesReply, SumsReply};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::range;
use crate::features::dashboard_rollup::reply::{self, Asked, ReplyMeta};
use crate::features::dashboard_rollup::snapshot::{Answered, UsageAnswers};
use crate::features::dashboard_rollup::sums::Counters;
use crate::features::dashboard_rollup::week::WeekStart;
use crate::kernel::access::Viewer;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::cursor::Cursors;
use crate::kernel::http::refusals::{MediaTypeRefusal, QueryRefusal, Refusals};
use crate::kernel::problem::Problem;

/// Usage by interval.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rollups)]
pub struct RollupsReply {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    #[schema(schema_with = widths)]
    width: &'static str,
    /// The day on which weeks begin; of weeks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, schema_with = week_starts)]
    week_start: Option<&'static str>,
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
    /// What the costs are in; absent where no price book is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<PricesReply>,
    /// The sums of the whole range and all filters, whatever the page.
    totals: SumsReply,
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
    /// Its local name: the start of the half hour `2026-11-01T00:30` or of the hour `2026-11-01T00:00`, the date
    /// `2026-11-01`, the week `2026-W44` or the Sunday `2026-11-01` with which it begins, or the month `2026-11`.
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
    sums: SumsReply,
}

/// Usage by half hour, hour, day, week or month
///
/// Sums over the user's buckets, by interval in local time and, if asked, by source, model and device. `totals` covers
/// the whole range and all filters, whatever the page. `as_of` and `pending` say how fresh the sums are. As CSV the
/// results are rows under a header line; `Halfhour-As-Of`, `Halfhour-Pending`, `Halfhour-Version` and `Link` say the rest.
#[utoipa::path(
    get,
    path = "/v1/rollups",
    operation_id = "get_rollups",
    tag = "rollups",
    params(RollupsParameters),
    responses(
        (status = 200, description = "The sums.", content((RollupsReply = "application/json"), (String = "text/csv")),
            headers(("ETag" = String, description = "A weak validator."),
                ("Halfhour-As-Of" = String, description = "`as_of`: everything acknowledged before it is here."),
                ("Halfhour-Pending" = bool, description = "`pending`: newer changes wait to be folded."),
                ("Halfhour-Version" = i64, description = "`version` of the rollup."),
                ("Link" = String, description = "The next page, `rel=\"next\"`, where there is one."))),
        NotModified,
        Refusals,
        MediaTypeRefusal,
        QueryRefusal,
    ),
    security(("viewer" = []))
)]
pub async fn get_rollups(
    viewer: Viewer,
    State(answers): State<UsageAnswers>,
    State(cursors): State<Cursors>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json, Media::Csv])?;
    let (request, Paging { cursor, cells }) = RollupsRequest::parse(&parameters)?;
    let cells = Cells::of(cells, media)?;
    let user_id = viewer.user_id();
    let list = format!("rollups {user_id} {}", range::canonical(&parameters));
    let request = request.after(cursor.map(|cursor| cursors.open(&list, &cursor)).transpose()?);
    let (width, group_by) = (request.width, request.group_by);
    let asked = Asked { user_id, headers: &headers, parameters: &parameters, media };

    let snapshot = answers.open(viewer.context(), user_id, request).await?;
    // What is folded changes with the version only, so that it need not be read to be known.
    let is_folded = !snapshot.is_from_buckets();
    let tag = is_folded.then(|| asked.tag(snapshot.state(), snapshot.days(), &())).transpose()?;
    if asked.has(tag.as_ref(), snapshot.state()) {
        let Answered { state, .. } = snapshot.close(Ok(())).await?;
        return ReplyMeta { state: &state, tag, next: None }.not_modified();
    }

    let Answered { state, days, answer } = snapshot.answer().await?;
    let book = state.book();
    let totals = SumsReply::new(answer.totals, book);
    let data = intervals(answer.intervals, width, group_by, book);
    // The state may be a later one, in another zone: what a standby fails is read once more.
    let tag = if is_folded && !state.is_other_zone() {
        asked.tag(&state, days, &())?
    } else {
        // Usage may move between the hours of a day without a change of its sums, and from behind this page before it.
        asked.tag(&state, days, &(&totals, &data, answer.next.is_some()))?
    };
    let next_cursor = answer.next.map(|next| cursors.seal(&list, &next)).transpose()?;
    let next = next_cursor.as_ref().map(|next| format!("/v1/rollups?{}", range::next_query(&parameters, next)));
    let is_known = asked.has(Some(&tag), &state);
    let meta = ReplyMeta { state: &state, tag: Some(tag), next };
    if is_known {
        return meta.not_modified();
    }
    if media == Media::Csv {
        return meta.ok(media, csv(&data, group_by, cells, book.is_some())?);
    }
    meta.json(&RollupsReply {
        from: days.from,
        to: days.to,
        width: width.as_str(),
        week_start: width.week_start().map(WeekStart::as_str),
        time_zone: state.time_zone().to_owned(),
        group_by: group_by.names(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        prices: PricesReply::of(&state),
        totals,
        data,
        next_cursor,
    })
}

/// The intervals as the caller sees them.
fn intervals(intervals: Vec<IntervalSums>, width: Width, by: GroupBy, book: Option<i32>) -> Vec<Interval> {
    let result = |GroupSums { key, priced }| GroupResult {
        source: by.source.then_some(key.source),
        model: by.model.then_some(key.model),
        device: by.device.then_some(key.device),
        sums: SumsReply::new(priced, book),
    };
    let interval = |IntervalSums { span, groups }| Interval {
        start: span.starts_at,
        end: span.ends_at,
        label: span.local_start.format(width.label()).to_string(),
        results: groups.into_iter().map(result).collect(),
    };
    intervals.into_iter().map(interval).collect()
}

/// The same results as a table.
fn csv(intervals: &[Interval], by: GroupBy, cells: Cells, has_cost: bool) -> Result<Vec<u8>, Problem> {
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut names = vec!["start", "end", "label"];
    names.extend(by.names());
    names.extend(Counters::NAMES);
    if has_cost {
        names.extend(CostReply::COLUMNS);
    }
    table.write_record(names).map_err(Problem::internal)?;
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    for interval in intervals {
        for result in &interval.results {
            let mut row = vec![instant(interval.start), instant(interval.end), interval.label.clone()];
            row.extend(result.source.clone());
            row.extend(result.model.as_deref().map(|model| cells.cell(model).into_owned()));
            row.extend(result.device.map(|device| device.to_string()));
            row.extend(result.sums.counters().values().map(|count| count.to_string()));
            row.extend(result.sums.cost().into_iter().flat_map(CostReply::cells));
            table.write_record(row).map_err(Problem::internal)?;
        }
    }
    table.into_inner().map_err(|error| Problem::internal(error.to_string()))
}
