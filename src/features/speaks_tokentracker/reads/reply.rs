//! What the dashboard is answered, under its names.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use serde::Serialize;
use utoipa::ToSchema;

use super::rows::{TokentrackerCounts, TokentrackerScope, models_of};
use crate::kernel::bucket::PerCounter;
use crate::kernel::dashboards::{PartSums, SumsInterval, ToolSums};
use crate::kernel::problem::Problem;

/// What no tokens cost.
const NO_COST: &str = "0.000000";
/// The shorter one of the two spans that end today.
const SHORT_SPAN: u64 = 7;

/// Counts, and what they cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerTotals {
    #[serde(flatten)]
    counts: TokentrackerCounts,
    /// Always nothing: this protocol has no word for what has no price.
    #[schema(example = "0.000000")]
    total_cost_usd: &'static str,
}

impl From<PerCounter<u128>> for TokentrackerTotals {
    fn from(sums: PerCounter<u128>) -> Self {
        Self { counts: sums.into(), total_cost_usd: NO_COST }
    }
}

/// The sums of some days.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerSummary {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// On how many of these days something was used.
    days: usize,
    #[serde(flatten)]
    scope: TokentrackerScope,
    totals: TokentrackerTotals,
    /// The last days, where `rolling=1` asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    rolling: Option<TokentrackerRolling>,
}

/// Spans that end today.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerRolling {
    last_7d: TokentrackerSpan,
    last_30d: TokentrackerSpan,
}

/// One such span.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerSpan {
    /// The first local day.
    from: NaiveDate,
    /// Today.
    to: NaiveDate,
    /// On how many of these days something was used.
    active_days: usize,
    totals: TokentrackerSpanTotals,
    /// The tokens of a day with usage on average, rounded; of thirty days only.
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_per_active_day: Option<u128>,
}

/// What a span adds up to.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerSpanTotals {
    /// All tokens.
    billable_total_tokens: u128,
    /// Always 0: prompts are not counted here.
    conversation_count: u8,
}

impl TokentrackerSummary {
    /// Of a range by day, and of the last thirty days by day. Errors: 500 where no day is six days before today.
    pub fn of(range: &PartSums, last: Option<&PartSums>) -> Result<Self, Problem> {
        let rolling = last.map(TokentrackerRolling::of).transpose()?;
        let (days, totals) = (used_days(&range.intervals), range.totals().into());
        Ok(Self { from: range.from, to: range.to, days, scope: TokentrackerScope::EVERYTHING, totals, rolling })
    }
}

impl TokentrackerRolling {
    fn of(last: &PartSums) -> Result<Self, Problem> {
        let week = last.to.checked_sub_days(Days::new(SHORT_SPAN - 1));
        let week = week.ok_or_else(|| Problem::internal("no day is six days before today"))?;
        let span = |from: NaiveDate| {
            let own = last.intervals.iter().filter(|day| day.local_start.date() >= from);
            let tokens: Vec<u128> = own.map(|day| day.totals().total_sum()).filter(|tokens| *tokens > 0).collect();
            let totals = TokentrackerSpanTotals { billable_total_tokens: tokens.iter().sum(), conversation_count: 0 };
            TokentrackerSpan { from, to: last.to, active_days: tokens.len(), totals, avg_per_active_day: None }
        };
        let (last_7d, last_30d) = (span(week), span(last.from));
        let average = rounded(last_30d.totals.billable_total_tokens, last_30d.active_days);
        Ok(Self { last_7d, last_30d: TokentrackerSpan { avg_per_active_day: Some(average), ..last_30d } })
    }
}

/// A quotient to the next integer; 0 of none.
fn rounded(sum: u128, count: usize) -> u128 {
    u128::try_from(count).ok().and_then(|count| (sum + count / 2).checked_div(count)).unwrap_or_default()
}

fn used_days(days: &[SumsInterval]) -> usize {
    days.iter().filter(|day| day.totals().total_sum() > 0).count()
}

/// The sums of each of some days.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerDaily {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    #[serde(flatten)]
    scope: TokentrackerScope,
    /// The days that something was reported of, ascending.
    data: Vec<TokentrackerDay>,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerDay {
    /// The local day.
    day: NaiveDate,
    #[serde(flatten)]
    counts: TokentrackerCounts,
    /// Always nothing: this protocol has no word for what has no price.
    total_cost_usd: u8,
    /// The tokens of each model.
    models: BTreeMap<String, u128>,
}

impl TokentrackerDaily {
    /// Of a range by day and model.
    pub fn of(range: &PartSums) -> Self {
        let day = |day: &SumsInterval| TokentrackerDay {
            day: day.local_start.date(),
            counts: day.totals().into(),
            total_cost_usd: 0,
            models: models_of(day),
        };
        let data = range.intervals.iter().map(day).collect();
        Self { from: range.from, to: range.to, scope: TokentrackerScope::EVERYTHING, data }
    }
}

/// The sums of the hours of a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerHourly {
    /// The local day.
    day: NaiveDate,
    #[serde(flatten)]
    scope: TokentrackerScope,
    /// The hours of a clock on the wall that something was reported of, ascending. An hour that comes twice has the sums
    /// of both.
    data: Vec<TokentrackerHour>,
}

/// One hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerHour {
    /// Its local start.
    #[schema(example = "2026-11-20T10:00:00")]
    hour: String,
    #[serde(flatten)]
    counts: TokentrackerCounts,
    /// The tokens of each model.
    models: BTreeMap<String, u128>,
}

impl TokentrackerHourly {
    /// Of a day by hour and model.
    pub fn of(range: PartSums) -> Self {
        let mut hours: BTreeMap<String, SumsInterval> = BTreeMap::new();
        for interval in range.intervals {
            let hour = interval.local_start.format("%Y-%m-%dT%H:00:00").to_string();
            match hours.get_mut(&hour) {
                Some(same) => same.groups.extend(interval.groups),
                None => {
                    hours.insert(hour, interval);
                }
            }
        }
        let data = hours.into_iter().map(|(hour, interval)| TokentrackerHour {
            hour,
            counts: interval.totals().into(),
            models: models_of(&interval),
        });
        Self { day: range.from, scope: TokentrackerScope::EVERYTHING, data: data.collect() }
    }
}

/// The sums of some months.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerMonthly {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    #[serde(flatten)]
    scope: TokentrackerScope,
    /// The months that something was reported of, ascending.
    data: Vec<TokentrackerMonth>,
}

/// One month.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerMonth {
    /// The month.
    #[schema(example = "2026-11")]
    month: String,
    #[serde(flatten)]
    counts: TokentrackerCounts,
    /// The tokens of each model.
    models: BTreeMap<String, u128>,
}

impl TokentrackerMonthly {
    /// Of a range by month and model.
    pub fn of(range: &PartSums) -> Self {
        let month = |month: &SumsInterval| TokentrackerMonth {
            month: month.local_start.format("%Y-%m").to_string(),
            counts: month.totals().into(),
            models: models_of(month),
        };
        let data = range.intervals.iter().map(month).collect();
        Self { from: range.from, to: range.to, scope: TokentrackerScope::EVERYTHING, data }
    }
}

/// The sums of each tool and each of its models.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerModelBreakdown {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// Always 0, as the tracker's own server has it.
    days: u8,
    #[serde(flatten)]
    scope: TokentrackerScope,
    /// The tools, in byte order.
    sources: Vec<TokentrackerSource>,
    pricing: TokentrackerPricing,
}

/// One tool.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerSource {
    /// The tool.
    source: String,
    /// `local`.
    source_scope: &'static str,
    totals: TokentrackerTotals,
    /// Its models, the one with most tokens first, and in byte order where two have as many.
    models: Vec<TokentrackerModel>,
}

/// One model of a tool.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerModel {
    /// The model.
    model: String,
    /// The same.
    model_id: String,
    totals: TokentrackerTotals,
}

/// By which rates costs are reckoned: none, as there are no costs.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerPricing {
    /// `none`.
    model: &'static str,
    /// `per_token_type`.
    pricing_mode: &'static str,
    /// `none`.
    source: &'static str,
    /// Today.
    effective_from: NaiveDate,
}

impl TokentrackerModelBreakdown {
    /// Of a range by tool and model.
    pub fn of(range: PartSums, today: NaiveDate) -> Self {
        let (from, to) = (range.from, range.to);
        let sources = range.by_tool().into_iter().map(TokentrackerSource::from).collect();
        let pricing = TokentrackerPricing {
            model: "none",
            pricing_mode: "per_token_type",
            source: "none",
            effective_from: today,
        };
        Self { from, to, days: 0, scope: TokentrackerScope::EVERYTHING, sources, pricing }
    }
}

impl From<ToolSums> for TokentrackerSource {
    fn from(ToolSums { source, sums, models }: ToolSums) -> Self {
        let models = models.into_iter().map(|(model, sums)| TokentrackerModel {
            model_id: model.clone(),
            model,
            totals: sums.into(),
        });
        Self { source, source_scope: "local", totals: sums.into(), models: models.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_is_rounded_and_of_no_days_it_is_zero() {
        assert_eq!((rounded(5, 2), rounded(4, 3), rounded(7, 0), rounded(0, 0)), (3, 1, 0, 0));
    }
}
