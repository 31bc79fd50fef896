//! `GET /v1/rollups/summary`: the numbers at the top of a dashboard, from one snapshot.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::request::SummaryRequest;
use super::store::{self, RangeSums, Streaks};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::range::{DayRange, Scope};
use crate::features::dashboard_rollup::reply::{self, ReplyMeta, Tag};
use crate::features::dashboard_rollup::state::{Reader, RollupState};
use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::access::Viewer;
use crate::kernel::bucket::SOURCES;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Pools, Tx};
use crate::kernel::http::body::Parameters;
use crate::kernel::http::refusals::Refusals;
use crate::kernel::problem::{Problem, ProblemBody, Violation};

/// A summary lists at most this many models.
const MAX_MODELS: usize = 1000;
/// Of either range: the whole, each source, and one model more, which tells that there are too many.
const MAX_ROWS: usize = 2 * (1 + SOURCES.len() + MAX_MODELS + 1);

/// A range beside the equally long one before it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Summary)]
pub struct SummaryReply {
    /// The first local day of the range.
    from: NaiveDate,
    /// The last local day of the range, inclusive.
    to: NaiveDate,
    /// The first local day of the range before.
    previous_from: NaiveDate,
    /// The last local day of the range before: the day before `from`.
    previous_to: NaiveDate,
    /// The IANA zone whose days these are.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Everything acknowledged before this instant is in the sums.
    as_of: DateTime<Utc>,
    /// True while newer changes wait to be folded.
    pending: bool,
    /// Rises when the user's rollup changes.
    version: i64,
    /// The sums of the range.
    totals: Counters,
    /// The sums of the range before.
    previous_totals: Counters,
    /// Every source of either range, in byte order.
    by_source: Vec<SourceSummary>,
    /// Every model of either range, in byte order.
    by_model: Vec<ModelSummary>,
    /// Days of the range on which tokens or requests were counted.
    active_days: i64,
    /// The same of the range before.
    previous_active_days: i64,
    /// Active days in a row up to today, or up to yesterday while today has none; over the whole history.
    current_streak: i64,
    /// The most active days in a row, over the whole history.
    longest_streak: i64,
}

/// One source in both ranges.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceSummary)]
pub struct SourceSummary {
    /// The tool.
    source: String,
    /// Its sums in the range.
    totals: Counters,
    /// Its sums in the range before.
    previous_totals: Counters,
}

/// One model in both ranges.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelSummary)]
pub struct ModelSummary {
    /// The model.
    model: String,
    /// Its sums in the range.
    totals: Counters,
    /// Its sums in the range before.
    previous_totals: Counters,
}

/// A range beside the one before it
///
/// Totals of the range and of the equally long range before it, whole, by source and by model; active days, and the
/// current and the longest streak over the user's whole history. Filters hold for all of it.
#[utoipa::path(
    get,
    path = "/v1/rollups/summary",
    operation_id = "get_rollup_summary",
    tag = "rollups",
    params(
        ("from" = Option<NaiveDate>, Query, description = "First local day; by default 29 days before `to`."),
        ("to" = Option<NaiveDate>, Query, description = "Last local day, inclusive; by default today. At most 800 days."),
        ("source" = Option<Vec<String>>, Query, description = "Count only this tool; repeatable, at most 100."),
        ("model" = Option<Vec<String>>, Query, description = "Count only this model; repeatable, at most 100."),
        ("device" = Option<Vec<Uuid>>, Query, description = "Count only this device; repeatable, at most 100."),
        ("If-None-Match" = Option<String>, Header, description = "Validators of replies that the caller has."),
    ),
    responses(
        (status = 200, description = "The summary.", body = SummaryReply,
            headers(("ETag" = String, description = "A weak validator."))),
        (status = 304, description = "The caller has this reply already; it is true as of `Date`."),
        (status = 406, description = "The caller does not accept JSON.",
            body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "The query is not acceptable, or has too many models: see `errors`.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("bearer" = []))
)]
pub async fn get_summary(
    viewer: Viewer,
    State(pools): State<Pools>,
    State(clock): State<Clock>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    reply::media(&headers, &[Media::Json])?;
    let request = SummaryRequest::parse(&parameters)?;
    let user_id = viewer.user_id();
    let reader = Reader { pool: pools.read, clock, user_id };
    let respond = async |tx: &mut Tx, state: RollupState| {
        let (days, before) = request.resolve(&state)?;
        let tag = Tag::new(user_id, &state, days, &parameters, Media::Json, &"summary")?;
        let about = ReplyMeta { state: &state, tag: Some(tag), next: None };
        if let Some(response) = about.not_modified(&headers)? {
            return Ok(response);
        }
        let scope = Scope { user_id, days, filters: &request.filters, time_zone: state.time_zone() };
        let limit = i64::try_from(MAX_ROWS).map_err(Problem::internal)?;
        let rows = store::range_sums(tx, &scope, before, limit).await?;
        let streaks = store::streaks(tx, &scope, before, state.today()).await?;
        about.json(&summary(&state, days, before, rows, streaks)?)
    };
    reader.in_snapshot(viewer.context(), None, respond).await
}

/// Puts a summary together. Errors: 422 where there are more models than it may list.
fn summary(
    state: &RollupState,
    days: DayRange,
    before: DayRange,
    rows: Vec<RangeSums>,
    streaks: Streaks,
) -> Result<SummaryReply, Problem> {
    let (whole, parts): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.source.is_none() && row.model.is_none());
    let (totals, previous_totals) = both(&whole);
    let (by_source, by_model): (Vec<_>, Vec<_>) = parts.into_iter().partition(|row| row.source.is_some());
    let by_source = by_source.chunk_by(|row, next| row.source == next.source).map(source_summary).collect();
    let by_model: Vec<_> = by_model.chunk_by(|row, next| row.model == next.model).map(model_summary).collect();
    if by_model.len() > MAX_MODELS {
        let detail = format!(
            "More than {MAX_MODELS} models, which is as many as a summary lists. Ask for fewer days, or for \
             GET /v1/rollups?group_by=model, which has pages."
        );
        return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
    }
    Ok(SummaryReply {
        from: days.from,
        to: days.to,
        previous_from: before.from,
        previous_to: before.to,
        time_zone: state.time_zone().to_owned(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        totals,
        previous_totals,
        by_source,
        by_model,
        active_days: streaks.active_days,
        previous_active_days: streaks.active_days_before,
        current_streak: streaks.current_streak,
        longest_streak: streaks.longest_streak,
    })
}

/// The sums of the range and of the one before it; zero where there is no row.
fn both(rows: &[RangeSums]) -> (Counters, Counters) {
    let of = |is_current| {
        let row = rows.iter().find(|row| row.is_current == is_current);
        row.map(|row| row.sums).unwrap_or_default()
    };
    (of(true), of(false))
}

fn source_summary(rows: &[RangeSums]) -> SourceSummary {
    let (totals, previous_totals) = both(rows);
    let source = rows.first().and_then(|row| row.source.clone()).unwrap_or_default();
    SourceSummary { source, totals, previous_totals }
}

fn model_summary(rows: &[RangeSums]) -> ModelSummary {
    let (totals, previous_totals) = both(rows);
    let model = rows.first().and_then(|row| row.model.clone()).unwrap_or_default();
    ModelSummary { model, totals, previous_totals }
}
