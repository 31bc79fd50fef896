//! `GET /v1/rollups/heatmap`: a grid of days, as JSON.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::contract::HeatmapParameters;
use super::request::HeatmapRequest;
use super::store::DaySums;
use crate::features::dashboard_rollup::contract::{NotModified, week_starts};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::reply::{self, Asked, ReplyMeta};
use crate::features::dashboard_rollup::snapshot::{Answered, UsageAnswers};
use crate::features::dashboard_rollup::week::WeekStart;
use crate::kernel::access::Viewer;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::refusals::{MediaTypeRefusal, QueryRefusal, Refusals};
use crate::kernel::problem::Problem;

/// Every day of a range or of some weeks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Heatmap)]
pub struct HeatmapReply {
    /// The first local day: `from`, or else the first day of a week.
    from: NaiveDate,
    /// The last local day: `to`, or else the last day of this week.
    to: NaiveDate,
    #[schema(schema_with = week_starts)]
    week_start: &'static str,
    /// The local date of now; days after it are zero because they are yet to come.
    today: NaiveDate,
    /// The IANA zone whose days these are: the rollup's.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Everything acknowledged before this instant is in the sums.
    as_of: DateTime<Utc>,
    /// True while newer changes wait to be folded.
    pending: bool,
    /// Rises when the user's rollup changes.
    version: i64,
    /// A cell for every day, ascending, none left out; seven a week, but for a first and a last week that `from` and `to`
    /// cut.
    data: Vec<HeatmapDay>,
}

/// One day. Integers without an upper bound: they may exceed 63 bits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeatmapDay)]
pub struct HeatmapDay {
    /// The local date.
    day: NaiveDate,
    /// The first day of its week, which may be before `from`: the column of the cell.
    week: NaiveDate,
    /// All tokens of the day.
    total_tokens: u128,
    /// Model requests of the day.
    request_count: u128,
}

/// A cell for every day
///
/// Tokens and requests of each local day, in the rollup's time zone: from `from` to `to`, or of the last `weeks`, which are
/// whole, and today is in the last one. `week` of a cell is the column that it belongs to.
#[utoipa::path(
    get,
    path = "/v1/rollups/heatmap",
    operation_id = "get_rollup_heatmap",
    tag = "rollups",
    params(HeatmapParameters),
    responses(
        (status = 200, description = "The days.", body = HeatmapReply,
            headers(("ETag" = String, description = "A weak validator."),
                ("Halfhour-As-Of" = String, description = "`as_of`: everything acknowledged before it is here."),
                ("Halfhour-Pending" = bool, description = "`pending`: newer changes wait to be folded."),
                ("Halfhour-Version" = i64, description = "`version` of the rollup."),
            )),
        NotModified,
        Refusals,
        MediaTypeRefusal,
        QueryRefusal,
    ),
    security(("viewer" = []))
)]
pub async fn get_heatmap(
    viewer: Viewer,
    State(answers): State<UsageAnswers>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json])?;
    let request = HeatmapRequest::parse(&parameters)?;
    let (user_id, week_start) = (viewer.user_id(), request.week_start);
    let asked = Asked { user_id, headers: &headers, parameters: &parameters, media };

    let snapshot = answers.open(viewer.context(), user_id, request).await?;
    let tag = Some(asked.tag(snapshot.state(), snapshot.days(), &"heatmap")?);
    if asked.has(tag.as_ref(), snapshot.state()) {
        let Answered { state, .. } = snapshot.close(Ok(())).await?;
        return ReplyMeta { state: &state, tag, next: None }.not_modified();
    }
    let Answered { state, days, answer } = snapshot.answer().await?;
    // The state may be a later one: what a standby fails is read once more.
    let tag = Some(asked.tag(&state, days, &"heatmap")?);
    ReplyMeta { state: &state, tag, next: None }.json(&HeatmapReply {
        from: days.from,
        to: days.to,
        week_start: week_start.as_str(),
        today: state.today(),
        time_zone: state.time_zone().to_owned(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        data: answer.days.into_iter().map(|row| HeatmapDay::new(row, week_start)).collect(),
    })
}

impl HeatmapDay {
    fn new(row: DaySums, week_start: WeekStart) -> Self {
        let week = week_start.week_of(row.day).first_day();
        Self { day: row.day, week, total_tokens: row.total_tokens, request_count: row.request_count }
    }
}
