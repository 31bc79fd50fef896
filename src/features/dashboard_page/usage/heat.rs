//! A year of days: how much was used on each, and for how many in a row.

use chrono::{Datelike as _, NaiveDate};

use super::price::Price;
use crate::kernel::dashboards::in_weeks;

/// From one cell to the next, in units of the drawing.
pub const CELL: u32 = 13;
/// How high the names of months are.
pub const HEAD: u32 = 16;

/// A day of the heatmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatCell {
    /// The day.
    pub day: NaiveDate,
    /// Its place.
    pub x: u32,
    /// Its place.
    pub y: u32,
    /// How much it is: 0 for nothing, up to 4.
    pub level: u8,
    /// Its tokens.
    pub tokens: u128,
    /// What they cost, where there is a book.
    pub price: Option<Price>,
}

/// A year.
#[derive(Clone, Debug, Default)]
pub struct Heat {
    /// The days.
    pub cells: Vec<HeatCell>,
    /// Where the names of months stand.
    pub months: Vec<(u32, &'static str)>,
    /// How wide the drawing is.
    pub width: u32,
    /// How high it is.
    pub height: u32,
    /// How many days in a row have usage, up to today or to yesterday.
    pub current_streak: usize,
    /// The most days in a row.
    pub longest_streak: usize,
    /// How many days have usage.
    pub active_days: usize,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Heat {
    /// Of days with their tokens, of which the first begins a week and the last is today.
    pub fn of(days: &[(NaiveDate, u128)]) -> Self {
        let bounds = bounds(days.iter().map(|(_, tokens)| *tokens));
        let mut heat = Self { height: HEAD + 7 * CELL, ..Self::default() };
        let mut month = None;
        let weeks = in_weeks(days.to_vec());
        for (week, days) in (0_u32..).zip(&weeks) {
            let x = week * CELL;
            if let Some((first, _)) = days.first().and_then(|day| day.as_ref()) {
                // A month that ends within a week has no room for its name.
                if month.is_some_and(|month| month != first.month0()) || month.is_none() && first.day() <= 21 {
                    heat.months.push((x, MONTHS[usize::try_from(first.month0()).unwrap_or_default()]));
                }
                month = Some(first.month0());
            }
            for (row, (day, tokens)) in (0_u32..).zip(days.iter().flatten()) {
                let level = level(*tokens, bounds);
                heat.cells.push(HeatCell { day: *day, x, y: HEAD + row * CELL, level, tokens: *tokens, price: None });
            }
            heat.width = x + CELL;
        }
        let active: Vec<bool> = days.iter().map(|(_, tokens)| *tokens > 0).collect();
        heat.active_days = active.iter().filter(|active| **active).count();
        heat.longest_streak = active.split(|active| !active).map(<[bool]>::len).max().unwrap_or_default();
        // Today may still come.
        let reached = if active.last() == Some(&false) { active.len() - 1 } else { active.len() };
        heat.current_streak = active[..reached].iter().rev().take_while(|active| **active).count();
        heat
    }
}

/// The tokens that a quarter, half and three quarters of the days with usage do not exceed.
fn bounds(tokens: impl Iterator<Item = u128>) -> [u128; 3] {
    let mut active: Vec<u128> = tokens.filter(|tokens| *tokens > 0).collect();
    active.sort_unstable();
    [1, 2, 3].map(|quarter| active.get((active.len() * quarter / 4).saturating_sub(1)).copied().unwrap_or_default())
}

fn level(tokens: u128, bounds: [u128; 3]) -> u8 {
    if tokens == 0 {
        return 0;
    }
    1 + bounds.iter().map(|bound| u8::from(tokens > *bound)).sum::<u8>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(tokens: &[u128]) -> Vec<(NaiveDate, u128)> {
        let first: NaiveDate = "2026-11-02".parse().unwrap();
        first.iter_days().zip(tokens.iter().copied()).collect()
    }

    #[test]
    fn a_run_of_days_reaches_to_today_or_to_yesterday() {
        let streaks = |tokens: &[u128]| {
            let heat = Heat::of(&days(tokens));
            (heat.current_streak, heat.longest_streak, heat.active_days)
        };
        assert_eq!(streaks(&[1, 1, 1, 0, 1, 1]), (2, 3, 5));
        assert_eq!(streaks(&[1, 0, 1, 1, 0]), (2, 2, 3), "today may still come");
        assert_eq!(streaks(&[1, 1, 0, 0]), (0, 2, 2));
        assert_eq!(streaks(&[]), (0, 0, 0));
        assert_eq!(streaks(&[0]), (0, 0, 0));
        assert_eq!(streaks(&[5]), (1, 1, 1));
    }

    #[test]
    fn days_stand_in_columns_of_weeks_and_have_levels_by_rank() {
        let heat = Heat::of(&days(&[0, 1, 2, 3, 4, 5, 6, 7, 8]));
        let places: Vec<_> = heat.cells.iter().map(|cell| (cell.x / CELL, (cell.y - HEAD) / CELL)).collect();
        assert_eq!(places[..2], [(0, 0), (0, 1)]);
        assert_eq!(places[6..], [(0, 6), (1, 0), (1, 1)]);
        let levels: Vec<_> = heat.cells.iter().map(|cell| cell.level).collect();
        assert_eq!(levels, [0, 1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!((heat.width, heat.months.as_slice()), (2 * CELL, [(0, "Nov")].as_slice()));
    }

    #[test]
    fn equal_days_are_of_one_level() {
        assert!(Heat::of(&days(&[7; 14])).cells.iter().all(|cell| cell.level == 1));
    }
}
