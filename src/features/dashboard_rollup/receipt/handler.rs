//! `GET /v1/rollups/cost`: the lines that add up to an amount, as JSON.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::ReceiptLine;
use super::request::ReceiptRequest;
use crate::features::dashboard_rollup::contract::{NotModified, RangeParameters};
use crate::features::dashboard_rollup::cost::{PricesReply, SumsReply};
use crate::features::dashboard_rollup::media::Media;
use crate::features::dashboard_rollup::reply::{self, Asked, ReplyMeta};
use crate::features::dashboard_rollup::snapshot::{Answered, UsageAnswers};
use crate::kernel::access::Viewer;
use crate::kernel::http::body::Parameters;
use crate::kernel::http::refusals::{MediaTypeRefusal, QueryRefusal, Refusals};
use crate::kernel::money::{shown_amount, shown_price};
use crate::kernel::problem::Problem;

/// What usage would have cost, line by line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostReceipt)]
pub struct ReceiptReply {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
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
    /// What all lines add up to.
    totals: SumsReply,
    /// The lines, by source and model.
    lines: Vec<LineReply>,
}

/// The tokens of one class at one price.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CostLine)]
pub struct LineReply {
    /// The tool.
    source: String,
    /// The model, as the tool reports it.
    model: String,
    /// What the model stands for in the book; null where the book has no such name.
    #[schema(example = "anthropic/claude-opus-4-8")]
    sku: Option<String>,
    /// By which rule the name was matched.
    #[schema(example = "exact")]
    rule: Option<String>,
    /// The rate; null where there is none.
    rate_id: Option<i32>,
    /// `short`, `long`, or `range` where it is not known how long the requests were.
    #[schema(example = "short")]
    tier: Option<String>,
    /// `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `output`, or `unclassified`.
    #[schema(example = "output")]
    class: &'static str,
    /// How many tokens.
    tokens: u128,
    /// US dollars per million tokens; null where no price is known.
    #[schema(example = "25")]
    per_mtok: Option<String>,
    /// The most that it may have been.
    #[schema(example = "25")]
    per_mtok_high: Option<String>,
    /// The product, to the last digit; null without a price.
    #[schema(example = "0.41235")]
    amount: Option<String>,
    /// The most that it may have been.
    #[schema(example = "0.41235")]
    amount_high: Option<String>,
    /// Why there is no price: `no_book`, `unknown_model`, `no_price_then` for hours that the book has no price of,
    /// `no_class_price`, or `unclassified`; null where there is one.
    reason: Option<&'static str>,
    /// From when on the rate holds for the model in the book; null where the beginning is not known. It may hold for some
    /// hours of the day only.
    valid_from: Option<DateTime<Utc>>,
    /// Until when; null where no end is known.
    valid_to: Option<DateTime<Utc>>,
    /// Where the price was found.
    evidence: Option<String>,
}

impl From<ReceiptLine> for LineReply {
    fn from(line: ReceiptLine) -> Self {
        let (valid_from, valid_to) = line.validity();
        let ReceiptLine { source, model, matched, rate, class, tokens, price } = line;
        let (low, high) = price.ok().unzip();
        let shown = |price: u64| shown_price(i64::try_from(price).unwrap_or(i64::MAX));
        let product = |price: u64| shown_amount(tokens * u128::from(price));
        Self {
            source,
            model,
            sku: matched.sku,
            rule: matched.rule,
            rate_id: rate.as_ref().map(|(id, _)| *id),
            tier: rate.as_ref().map(|(_, rate)| rate.tier.clone()),
            class,
            tokens,
            per_mtok: low.map(shown),
            per_mtok_high: high.map(shown),
            amount: low.map(product),
            amount_high: high.map(product),
            reason: price.err(),
            valid_from,
            valid_to,
            evidence: rate.map(|(_, rate)| rate.evidence.clone()),
        }
    }
}

/// What usage would have cost, line by line
///
/// A line for each source, model, rate and token class of the range: tokens, price per million, and their product, which is
/// exact. The products add up to the amount of `totals`. Each line says what the model's name was taken for, by which rule,
/// and where the price was found. These are public list prices of the API, and not what was spent.
#[utoipa::path(
    get,
    path = "/v1/rollups/cost",
    operation_id = "get_receipt",
    tag = "rollups",
    params(RangeParameters),
    responses(
        (status = 200, description = "The receipt.", body = ReceiptReply,
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
pub async fn get_receipt(
    viewer: Viewer,
    State(answers): State<UsageAnswers>,
    headers: HeaderMap,
    Parameters(parameters): Parameters,
) -> Result<Response, Problem> {
    let media = reply::media(&headers, &[Media::Json])?;
    let request = ReceiptRequest::parse(&parameters)?;
    let user_id = viewer.user_id();
    let asked = Asked { user_id, headers: &headers, parameters: &parameters, media };

    let snapshot = answers.open(viewer.context(), user_id, request).await?;
    let tag = Some(asked.tag(snapshot.state(), snapshot.days(), &"receipt")?);
    if asked.has(tag.as_ref(), snapshot.state()) {
        let Answered { state, .. } = snapshot.close(Ok(())).await?;
        return ReplyMeta { state: &state, tag, next: None }.not_modified();
    }
    let Answered { state, days, answer } = snapshot.answer().await?;
    // The state may be a later one: what a standby fails is read once more.
    let tag = Some(asked.tag(&state, days, &"receipt")?);
    ReplyMeta { state: &state, tag, next: None }.json(&ReceiptReply {
        from: days.from,
        to: days.to,
        time_zone: state.time_zone().to_owned(),
        as_of: state.as_of(),
        pending: state.pending(),
        version: state.version(),
        prices: PricesReply::of(&state),
        totals: SumsReply::new(answer.totals, state.book()),
        lines: answer.lines.into_iter().map(LineReply::from).collect(),
    })
}
