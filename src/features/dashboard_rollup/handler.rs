//! `GET /v1/rollups`: one snapshot of the user's rollup, with its totals and how fresh it is.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::request::Request;
use super::store::{self, GroupSums, RollupState, Scope, Sums};
use crate::kernel::auth::Viewer;
use crate::kernel::clock::Clock;
use crate::kernel::db::{Access, Mode, Pools};
use crate::kernel::extract::Parameters;
use crate::kernel::openapi::Refusals;
use crate::kernel::problem::{Problem, ProblemBody, Violation};

/// A reply holds at most this many results.
const MAX_RESULTS: usize = 10_000;

/// Usage by local day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rollups)]
pub struct RollupsReply {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// How long an interval is.
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
    /// The sums of the whole range.
    totals: Counters,
    /// The intervals that have usage, ascending.
    data: Vec<Interval>,
    /// Where to go on; null when this is all.
    next_cursor: Option<String>,
}

/// One local day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollupInterval)]
pub struct Interval {
    /// Its first instant.
    start: DateTime<Utc>,
    /// The first instant after it.
    end: DateTime<Utc>,
    /// The local date.
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

/// Sums of buckets. Integers without an upper bound: they may exceed 63 bits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RollupCounters)]
pub struct Counters {
    /// Uncached input.
    input_tokens: u128,
    /// Input served from a prompt cache.
    cache_read_tokens: u128,
    /// Input written to a 5-minute cache.
    cache_write_5m_tokens: u128,
    /// Input written to a 1-hour cache.
    cache_write_1h_tokens: u128,
    /// All output, including reasoning.
    output_tokens: u128,
    /// The part of the output that was reasoning; not added again.
    reasoning_tokens: u128,
    /// Tokens reported only as a total.
    unclassified_tokens: u128,
    /// Input, cache reads and writes, output and unclassified.
    total_tokens: u128,
    /// Model requests.
    request_count: u128,
    /// How many buckets were summed.
    bucket_count: u128,
}

impl From<Sums> for Counters {
    fn from(sums: Sums) -> Self {
        Self {
            input_tokens: sums.input_tokens,
            cache_read_tokens: sums.cache_read_tokens,
            cache_write_5m_tokens: sums.cache_write_5m_tokens,
            cache_write_1h_tokens: sums.cache_write_1h_tokens,
            output_tokens: sums.output_tokens,
            reasoning_tokens: sums.reasoning_tokens,
            unclassified_tokens: sums.unclassified_tokens,
            total_tokens: sums.total_tokens,
            request_count: sums.request_count,
            bucket_count: sums.bucket_count,
        }
    }
}

/// Usage by local day.
///
/// Sums over the user's buckets, by local day in the rollup's time zone and, if asked, by source, model and device.
/// `totals` covers the whole range and all filters. `as_of` and `pending` say how fresh the sums are.
#[utoipa::path(
    get,
    path = "/v1/rollups",
    operation_id = "get_rollups",
    tag = "rollups",
    params(
        ("from" = Option<NaiveDate>, Query, description = "First local day; by default 29 days before `to`."),
        ("to" = Option<NaiveDate>, Query, description = "Last local day, inclusive; by default today. At most 800 days."),
        ("width" = Option<String>, Query, description = "How long an interval is: `day`."),
        ("group_by" = Option<Vec<String>>, Query,
            description = "Any of `source`, `model`, `device`; repeated, or separated by commas."),
        ("source" = Option<Vec<String>>, Query, description = "Count only this tool; repeatable, at most 100."),
        ("model" = Option<Vec<String>>, Query, description = "Count only this model; repeatable, at most 100."),
        ("device" = Option<Vec<Uuid>>, Query, description = "Count only this device; repeatable, at most 100."),
    ),
    responses(
        (status = 200, description = "The sums.", body = RollupsReply),
        (status = 422, description = "The query is not acceptable, or has too many results: see `errors`.",
            body = ProblemBody, content_type = "application/problem+json"),
        Refusals,
    ),
    security(("viewer" = []))
)]
pub async fn get_rollups(
    viewer: Viewer,
    State(pools): State<Pools>,
    State(clock): State<Clock>,
    Parameters(parameters): Parameters,
) -> Result<Json<RollupsReply>, Problem> {
    let request = Request::parse(&parameters).map_err(Problem::invalid)?;
    let user_id = viewer.user_id();
    let mut tx = pools.read.begin(viewer.call(), Access::Users(&[user_id]), Mode::Snapshot).await?;
    let state = store::rollup_state(&mut tx, user_id, clock.now()).await?;
    let days = match request.days(state.today) {
        Ok(days) => days,
        Err(violations) => {
            tx.rollback().await?;
            return Err(Problem::invalid(violations));
        }
    };
    let scope = Scope { user_id, days, filters: &request.filters };
    let totals = store::rollup_totals(&mut tx, &scope).await?;
    let limit = i64::try_from(MAX_RESULTS + 1).map_err(Problem::internal)?;
    let rows = store::rollup_days(&mut tx, &scope, request.group_by, limit, &state.time_zone).await?;
    tx.rollback().await?;
    if rows.len() > MAX_RESULTS {
        let detail = format!("More than {MAX_RESULTS} results; ask for fewer days, or drop a group.");
        return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
    }
    Ok(Json(reply(&request, &scope, state, totals, rows)))
}

fn reply(request: &Request, scope: &Scope<'_>, state: RollupState, totals: Sums, rows: Vec<GroupSums>) -> RollupsReply {
    RollupsReply {
        from: scope.days.from,
        to: scope.days.to,
        width: "day",
        time_zone: state.time_zone,
        group_by: request.group_by.names(),
        as_of: state.oldest_event_at.map_or(state.read_at, |oldest| oldest.min(state.read_at)),
        pending: state.oldest_event_at.is_some(),
        version: state.version,
        totals: totals.into(),
        data: intervals(rows),
        next_cursor: None,
    }
}

/// Gathers the results of each day; they come sorted by day.
fn intervals(rows: Vec<GroupSums>) -> Vec<Interval> {
    let mut intervals = Vec::<Interval>::new();
    for row in rows {
        let result =
            GroupResult { source: row.source, model: row.model, device: row.device_id, counters: row.sums.into() };
        match intervals.last_mut() {
            Some(last) if last.start == row.starts_at => last.results.push(result),
            _ => intervals.push(Interval {
                start: row.starts_at,
                end: row.ends_at,
                label: row.day.to_string(),
                results: vec![result],
            }),
        }
    }
    intervals
}
