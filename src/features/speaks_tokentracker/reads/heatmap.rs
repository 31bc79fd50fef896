//! The heatmap: every day of some weeks as a cell.
//!
//! The rule of its levels is that of the tracker's own server: quarters of the greatest day.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Weekday};
use serde::Serialize;
use utoipa::ToSchema;

use super::rows::{TokentrackerScope, models_of};
use crate::kernel::dashboards::{PartSums, SumsInterval, days_in_a_row, in_weeks};

/// Days as cells.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerHeatmap {
    /// The first local day, which begins a week.
    from: NaiveDate,
    /// The last local day, inclusive.
    to: NaiveDate,
    #[serde(flatten)]
    scope: TokentrackerScope,
    /// `sun` or `mon`.
    week_starts_on: &'static str,
    /// Days with usage.
    active_days: usize,
    /// Days with usage in a row, up to `to`.
    streak_days: usize,
    /// Every week, of seven cells each; `null` stands for a day after `to`.
    weeks: Vec<Vec<Option<TokentrackerCell>>>,
    /// Always nothing: this protocol has no word for what has no price.
    total_cost_usd: u8,
}

/// One day.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokentrackerCell {
    /// The local day.
    day: NaiveDate,
    /// All tokens.
    total_tokens: u128,
    /// The same.
    billable_total_tokens: u128,
    /// 0 without usage, else the quarter of the greatest day that it reaches into: 1 to 4.
    level: u8,
    /// The tokens of each model; null where nothing was reported.
    models: Option<BTreeMap<String, u128>>,
}

impl TokentrackerHeatmap {
    /// Of whole weeks by day and model, which begin so.
    pub fn of(range: &PartSums, start: Weekday) -> Self {
        let used: BTreeMap<NaiveDate, &SumsInterval> =
            range.intervals.iter().map(|day| (day.local_start.date(), day)).collect();
        let days: Vec<NaiveDate> = range.from.iter_days().take_while(|day| *day <= range.to).collect();
        let tokens_of = |day: &NaiveDate| used.get(day).map(|day| day.totals().total_sum()).unwrap_or_default();
        let tokens: Vec<u128> = days.iter().map(tokens_of).collect();
        let most = tokens.iter().copied().max().unwrap_or_default();
        let cell = |(day, tokens): (&NaiveDate, &u128)| TokentrackerCell {
            day: *day,
            total_tokens: *tokens,
            billable_total_tokens: *tokens,
            level: quarter(*tokens, most),
            models: used.get(day).map(|day| models_of(day)),
        };
        Self {
            from: range.from,
            to: range.to,
            scope: TokentrackerScope::EVERYTHING,
            week_starts_on: if start == Weekday::Mon { "mon" } else { "sun" },
            active_days: tokens.iter().filter(|tokens| **tokens > 0).count(),
            streak_days: days_in_a_row(tokens.iter().copied()),
            weeks: in_weeks(days.iter().zip(&tokens).map(cell).collect()),
            total_cost_usd: 0,
        }
    }
}

/// The quarter of `most` that `part` of it reaches into, 1 to 4; 0 of nothing.
fn quarter(part: u128, most: u128) -> u8 {
    let quarters = (4 * part).div_ceil(most.max(1));
    u8::try_from(quarters.min(4)).unwrap_or(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_the_quarter_of_the_greatest_day() {
        let levels: Vec<u8> = [0, 1, 25, 26, 50, 51, 75, 76, 100].map(|part| quarter(part, 100)).into();
        assert_eq!(levels, [0, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!((quarter(0, 0), quarter(1, 1), quarter(1, 3)), (0, 4, 2));
    }
}
