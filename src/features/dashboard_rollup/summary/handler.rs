//! `GET /v1/rollups/summary`: the numbers at the top of a dashboard, as JSON.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::BothSums;
use super::request::SummaryRequest;
use crate::features::dashboard_rollup::contract::{NotModified, RangeParameters};
use crate::features::dashboard_rollup::cost::{PricesReply, SumsReply};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::receipt::Unpriced;
use crate::features::dashboard_rollup::reply::{self, Asked, ReplyMeta};
use crate::features::dashboard_rollup::snapshot::{Answered, UsageAnswers};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::refusals::{MediaTypeRefusal, QueryRefusal, Refusals};
use crate::kernel::problem::Problem;

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
    /// What the costs are in; absent where no price book is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<PricesReply>,
    /// The sums of the range.
    totals: SumsReply,
    /// The sums of the range before.
    previous_totals: SumsReply,
    /// Every source of either range, in byte order.
    by_source: Vec<SourceSummary>,
    /// Every model of either range, in byte order.
    by_model: Vec<ModelSummary>,
    /// Which tokens of the range have no price and why: the hundred pairs with the most. Absent where no price book is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpriced: Option<Vec<UnpricedReply>>,
    /// Days of the range on which tokens or requests were counted.
    active_days: i64,
    /// The same of the range before.
    previous_active_days: i64,
    /// Active days in a row up to today, or up to yesterday while today has none; over the whole history.
    current_streak: i64,
    /// The most active days in a row, over the whole history.
    longest_streak: i64,
}

/// Tokens without a price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Unpriced)]
pub struct UnpricedReply {
    /// The tool.
    source: String,
    /// The model, as the tool reports it.
    model: String,
    /// How many tokens.
    tokens: u128,
    /// `unknown_model`, `no_price_then` for hours that the book has no price of, `no_class_price`, or `unclassified`.
    #[schema(example = "unknown_model")]
    reason: &'static str,
}

/// One source in both ranges.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceSummary)]
pub struct SourceSummary {
    /// The tool.
    source: String,
    /// Its sums in the range.
    totals: SumsReply,
    /// Its sums in the range before.
    previous_totals: SumsReply,
}

/// One model in both ranges.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelSummary)]
pub struct ModelSummary {
    /// The model.
    model: String,
    /// Its sums in the range.
    totals: SumsReply,
    /// Its sums in the range before.
    previous_totals: SumsReply,
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
    params(RangeParameters),
    responses(
        (status = 200, description = "The summary.", body = SummaryReply,
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
pub async fn get_summary(
    viewer: Viewer,
    State(answers): State<UsageAnswers>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json])?;
    let request = SummaryRequest::parse(&parameters)?;
    let user_id = viewer.user_id();
    let asked = Asked { user_id, headers: &headers, parameters: &parameters, media };

    let snapshot = answers.open(viewer.context(), user_id, request).await?;
    let tag = Some(asked.tag(snapshot.state(), snapshot.days(), &"summary")?);
    if asked.has(tag.as_ref(), snapshot.state()) {
        let Answered { state, .. } = snapshot.close(Ok(())).await?;
        return ReplyMeta { state: &state, tag, next: None }.not_modified();
    }
    let Answered { state, days, answer } = snapshot.answer().await?;
    // The state may be a later one: what a standby fails is read once more.
    let tag = Some(asked.tag(&state, days, &"summary")?);
    let book = state.book();
    ReplyMeta { state: &state, tag, next: None }.json(&SummaryReply {
        from: days.from,
        to: days.to,
        previous_from: answer.before.from,
        previous_to: answer.before.to,
        time_zone: state.time_zone().to_owned(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        prices: PricesReply::of(&state),
        totals: SumsReply::new(answer.totals.current, book),
        previous_totals: SumsReply::new(answer.totals.previous, book),
        by_source: answer.by_source.into_iter().map(|row| SourceSummary::new(row, book)).collect(),
        by_model: answer.by_model.into_iter().map(|row| ModelSummary::new(row, book)).collect(),
        unpriced: book.map(|_book| answer.unpriced.into_iter().map(UnpricedReply::from).collect()),
        active_days: answer.streaks.active_days,
        previous_active_days: answer.streaks.active_days_before,
        current_streak: answer.streaks.current_streak,
        longest_streak: answer.streaks.longest_streak,
    })
}

impl From<Unpriced> for UnpricedReply {
    fn from(Unpriced { source, model, tokens, reason }: Unpriced) -> Self {
        Self { source, model, tokens, reason }
    }
}

impl SourceSummary {
    fn new((source, sums): (String, BothSums), book: Option<i32>) -> Self {
        let [totals, previous_totals] = [sums.current, sums.previous].map(|priced| SumsReply::new(priced, book));
        Self { source, totals, previous_totals }
    }
}

impl ModelSummary {
    fn new((model, sums): (String, BothSums), book: Option<i32>) -> Self {
        let [totals, previous_totals] = [sums.current, sums.previous].map(|priced| SumsReply::new(priced, book));
        Self { model, totals, previous_totals }
    }
}
