//! The query of `GET /v1/rollups/heatmap`: how many weeks, which buckets.

use chrono::{NaiveDate, TimeDelta, Weekday};

use crate::features::dashboard_rollup::question::{self, DayRange, Filters};
use crate::kernel::problem::Violation;

const KNOWN: [&str; 4] = ["weeks", "source", "model", "device"];
/// A heatmap has at most this many weeks, two years.
const MAX_WEEKS: u16 = 104;
/// A year and the week it begins in.
const DEFAULT_WEEKS: u16 = 53;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    weeks: u16,
    /// The buckets that count.
    pub filters: Filters,
}

impl Request {
    /// Reads the query's parameters.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Vec<Violation>> {
        let mut request = Self { weeks: DEFAULT_WEEKS, filters: Filters::default() };
        let mut violations = question::read(parameters, &KNOWN, |name, value| {
            match name {
                "weeks" => request.weeks = question::number(name, value, MAX_WEEKS)?,
                _ => request.filters.take(name, value)?,
            }
            Ok(())
        });
        violations.extend(request.filters.violations());
        if violations.is_empty() { Ok(request) } else { Err(violations) }
    }

    /// Whole weeks, Monday to Sunday; today is in the last one.
    pub fn days(&self, today: NaiveDate) -> DayRange {
        let this_week = today.week(Weekday::Mon);
        let weeks_before = TimeDelta::weeks(i64::from(self.weeks) - 1);
        DayRange { from: this_week.first_day() - weeks_before, to: this_week.last_day() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_runs_from_monday_to_sunday_and_today_is_in_the_last_one() {
        let days = |weeks: &str, today: &str| {
            let request = Request::parse(&[("weeks".to_owned(), weeks.to_owned())]).unwrap();
            let DayRange { from, to } = request.days(today.parse().unwrap());
            format!("{from} {to}")
        };
        assert_eq!(days("1", "2026-11-16"), "2026-11-16 2026-11-22", "a Monday");
        assert_eq!(days("1", "2026-11-22"), "2026-11-16 2026-11-22", "a Sunday");
        assert_eq!(days("2", "2026-11-20"), "2026-11-09 2026-11-22");
        assert_eq!(days("104", "2026-11-20"), "2024-12-02 2026-11-22");
        for weeks in ["0", "105", "-1", "1.5", ""] {
            let refused = Request::parse(&[("weeks".to_owned(), weeks.to_owned())]).unwrap_err();
            assert_eq!((refused[0].pointer.as_str(), refused[0].code), ("?weeks", "not_in_range"), "{weeks}");
        }
    }
}
