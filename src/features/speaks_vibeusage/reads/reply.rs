//! What the dashboard is answered: counts as texts, under its names.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc, Weekday};
use serde::Serialize;
use utoipa::ToSchema;

use super::levels::Thresholds;
use super::slots::{Slot, slots};
use crate::kernel::bucket::PerCounter;
use crate::kernel::dashboards::{PartSums, SumsQuestion, ToolSums, days_in_a_row, in_weeks};

/// What no tokens cost.
const NO_COST: &str = "0.000000";
/// How often trackers send at most, in minutes.
const SENT_EVERY: u8 = 30;

/// Counts as texts.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageCounts {
    /// All tokens.
    #[schema(example = "94535")]
    total_tokens: String,
    /// The same: no tokens are left out of the total.
    billable_total_tokens: String,
    /// Input, and what of it was written to caches.
    input_tokens: String,
    /// Input served from a cache.
    cached_input_tokens: String,
    /// Output, including reasoning.
    output_tokens: String,
    /// The part of the output that was reasoning.
    reasoning_output_tokens: String,
}

impl From<PerCounter<u128>> for VibeusageCounts {
    fn from(sums: PerCounter<u128>) -> Self {
        let total = sums.total_sum().to_string();
        let input = sums.input_tokens + sums.cache_write_5m_tokens + sums.cache_write_1h_tokens;
        Self {
            total_tokens: total.clone(),
            billable_total_tokens: total,
            input_tokens: input.to_string(),
            cached_input_tokens: sums.cache_read_tokens.to_string(),
            output_tokens: sums.output_tokens.to_string(),
            reasoning_output_tokens: sums.reasoning_tokens.to_string(),
        }
    }
}

/// Counts, and what they cost.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageTotals {
    #[serde(flatten)]
    counts: VibeusageCounts,
    /// Always nothing: this protocol has no word for what has no price.
    #[schema(example = "0.000000")]
    total_cost_usd: &'static str,
}

impl From<PerCounter<u128>> for VibeusageTotals {
    fn from(sums: PerCounter<u128>) -> Self {
        Self { counts: sums.into(), total_cost_usd: NO_COST }
    }
}

/// By which rates costs are reckoned: none, as there are no costs.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusagePricing {
    /// `none`.
    model: &'static str,
    /// `add`: no class of tokens is inside another one.
    pricing_mode: &'static str,
    /// `none`.
    source: &'static str,
    /// The first day of the range.
    effective_from: NaiveDate,
    rates_per_million_usd: VibeusageRates,
}

/// Rates of nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageRates {
    input: &'static str,
    cached_input: &'static str,
    output: &'static str,
    reasoning_output: &'static str,
}

impl VibeusagePricing {
    const fn none(effective_from: NaiveDate) -> Self {
        let rates_per_million_usd =
            VibeusageRates { input: NO_COST, cached_input: NO_COST, output: NO_COST, reasoning_output: NO_COST };
        Self { model: "none", pricing_mode: "add", source: "none", effective_from, rates_per_million_usd }
    }
}

/// The sums of some days.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageSummary {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// How many days these are.
    days: i64,
    /// The model, where exactly one was asked for.
    model_id: Option<String>,
    /// The same.
    model: Option<String>,
    totals: VibeusageTotals,
    pricing: VibeusagePricing,
}

impl VibeusageSummary {
    /// Of a range, of which `model` alone was asked for if there is one.
    pub fn of(range: &PartSums, model: Option<String>) -> Self {
        let PartSums { from, to, .. } = *range;
        let (days, totals) = (range.days(), range.totals().into());
        Self { from, to, days, model_id: model.clone(), model, totals, pricing: VibeusagePricing::none(from) }
    }
}

/// The model that a question is about, where it is about one.
pub fn asked_model(question: &SumsQuestion) -> Option<String> {
    match question.filters.models.as_slice() {
        [model] => Some(model.as_str().to_owned()),
        _ => None,
    }
}

/// The sums of each of some days.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageDaily {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// Every day, ascending, with or without usage.
    data: Vec<VibeusageDay>,
    summary: VibeusageDailySummary,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageDay {
    /// The local day.
    day: NaiveDate,
    #[serde(flatten)]
    counts: VibeusageCounts,
}

/// The sums of all days.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageDailySummary {
    totals: VibeusageTotals,
    pricing: VibeusagePricing,
}

impl VibeusageDaily {
    /// Of a range by day.
    pub fn of(range: &PartSums) -> Self {
        let PartSums { from, to, .. } = *range;
        let day = |day, sums: PerCounter<u128>| VibeusageDay { day, counts: sums.into() };
        let data = range.intervals.iter().map(|interval| day(interval.local_start.date(), interval.totals()));
        let summary = VibeusageDailySummary { totals: range.totals().into(), pricing: VibeusagePricing::none(from) };
        Self { from, to, data: data.collect(), summary }
    }
}

/// The sums of the half hours of a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageHourly {
    /// The local day.
    day: NaiveDate,
    /// The 48 half hours of a clock on the wall, ascending. A time that comes twice has the sums of both.
    data: Vec<VibeusageHalfHour>,
    sync: VibeusageSync,
}

/// One half hour.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageHalfHour {
    /// Its local start.
    #[schema(example = "2026-11-20T10:30:00")]
    hour: String,
    #[serde(flatten)]
    counts: VibeusageCounts,
    /// `true` where it begins after any device was last heard of, else absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<bool>,
}

/// How the user's devices send.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageSync {
    /// When one of them was last heard of, to the minute.
    #[schema(example = "2026-11-20T11:58:03.000Z")]
    last_sync_at: Option<String>,
    /// How often they send at most, in minutes.
    min_interval_minutes: u8,
}

impl VibeusageHourly {
    /// Of a day by half hours, none left out.
    pub fn of(range: &PartSums, last_heard: Option<DateTime<Utc>>) -> Self {
        let half_hour = |Slot { hour, sums, missing }: Slot| VibeusageHalfHour {
            hour,
            counts: sums.into(),
            missing: missing.then_some(true),
        };
        let data = slots(range.from, &range.intervals, last_heard).into_iter().map(half_hour);
        let sync = VibeusageSync { last_sync_at: last_heard.map(in_millis), min_interval_minutes: SENT_EVERY };
        Self { day: range.from, data: data.collect(), sync }
    }
}

/// As JavaScript writes instants.
fn in_millis(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The sums of some months.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageMonthly {
    /// The first local day, which begins a month.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// How many months these are.
    months: usize,
    /// Every month, ascending, with or without usage.
    data: Vec<VibeusageMonth>,
}

/// One month.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageMonth {
    /// The month.
    #[schema(example = "2026-11")]
    month: String,
    #[serde(flatten)]
    counts: VibeusageCounts,
}

impl VibeusageMonthly {
    /// Of a range by month.
    pub fn of(range: &PartSums) -> Self {
        let data = range.intervals.iter().map(|interval| VibeusageMonth {
            month: interval.local_start.format("%Y-%m").to_string(),
            counts: interval.totals().into(),
        });
        Self { from: range.from, to: range.to, months: range.intervals.len(), data: data.collect() }
    }
}

/// Days as cells.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageHeatmap {
    /// The first local day, which begins a week.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// `sun` or `mon`.
    week_starts_on: &'static str,
    thresholds: VibeusageThresholds,
    /// Days with usage.
    active_days: usize,
    /// Days with usage in a row, up to `to`.
    streak_days: usize,
    /// Every week, of seven cells each; `null` stands for a day after `to`.
    weeks: Vec<Vec<Option<VibeusageCell>>>,
}

/// The tokens above which a day's level is 2, 3 and 4: the medians, upper quartiles and upper tenths of days with usage.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageThresholds {
    t1: String,
    t2: String,
    t3: String,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageCell {
    /// The local day.
    day: NaiveDate,
    /// All tokens.
    value: String,
    /// 0 without usage, else 1 to 4.
    level: u8,
}

impl VibeusageHeatmap {
    /// Of whole weeks by day, which begin so.
    pub fn of(range: &PartSums, start: Weekday) -> Self {
        let days = range.intervals.iter().map(|interval| (interval.local_start.date(), interval.totals().total_sum()));
        let days: Vec<(NaiveDate, u128)> = days.collect();
        let tokens = || days.iter().map(|(_, tokens)| *tokens);
        let thresholds = Thresholds::of(tokens());
        let cell = |(day, tokens): &(NaiveDate, u128)| VibeusageCell {
            day: *day,
            value: tokens.to_string(),
            level: thresholds.level(*tokens),
        };
        let [t1, t2, t3] = thresholds.values().map(|threshold| threshold.to_string());
        Self {
            from: range.from,
            to: range.to,
            week_starts_on: if start == Weekday::Mon { "mon" } else { "sun" },
            thresholds: VibeusageThresholds { t1, t2, t3 },
            active_days: tokens().filter(|tokens| *tokens > 0).count(),
            streak_days: days_in_a_row(tokens()),
            weeks: in_weeks(days.iter().map(cell).collect()),
        }
    }
}

/// The sums of each tool and each of its models.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageModelBreakdown {
    /// The first local day.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    /// How many days these are.
    days: i64,
    pricing: VibeusagePricing,
    /// The tools with usage, in byte order.
    sources: Vec<VibeusageSource>,
}

/// One tool.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageSource {
    /// The tool.
    source: String,
    totals: VibeusageTotals,
    /// Its models, the one with most tokens first, and in byte order where two have as many.
    models: Vec<VibeusageModel>,
}

/// One model of a tool.
#[derive(Debug, Serialize, ToSchema)]
pub struct VibeusageModel {
    /// The model.
    model_id: String,
    /// The same.
    model: String,
    totals: VibeusageTotals,
}

impl VibeusageModelBreakdown {
    /// Of a range by tool and model.
    pub fn of(range: PartSums) -> Self {
        let (from, to, days) = (range.from, range.to, range.days());
        let sources = range.by_tool().into_iter().map(VibeusageSource::from).collect();
        Self { from, to, days, pricing: VibeusagePricing::none(from), sources }
    }
}

impl From<ToolSums> for VibeusageSource {
    fn from(ToolSums { source, sums, models }: ToolSums) -> Self {
        let models = models.into_iter().map(|(model, sums)| VibeusageModel {
            model_id: model.clone(),
            model,
            totals: sums.into(),
        });
        Self { source, totals: sums.into(), models: models.collect() }
    }
}

/// A code by which a new device gets its token.
#[derive(Serialize, ToSchema)]
pub struct VibeusageLinkCode {
    /// To be given to the tracker on the new device. It can be used once.
    #[schema(example = "7K3M-9QXD-2VTA")]
    link_code: String,
    /// From when on it is refused.
    #[schema(example = "2026-11-20T13:00:00.000Z")]
    expires_at: String,
}

impl VibeusageLinkCode {
    /// A code.
    pub fn of(code: String, expires_at: DateTime<Utc>) -> Self {
        Self { link_code: code, expires_at: in_millis(expires_at) }
    }
}
