//! The query of `GET /v1/rollups/heatmap`: how many weeks, which buckets.

use chrono::{NaiveDate, TimeDelta, Weekday};

use crate::features::dashboard_rollup::range::{DayRange, FILTERS, Filters};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::number;
use crate::kernel::problem::Problem;

const KNOWN: [&str; 4] = ["weeks", "source", "model", "device"];
/// A heatmap has at most this many weeks, two years.
const MAX_WEEKS: u16 = 104;
/// A year and the week it begins in.
const DEFAULT_WEEKS: u16 = 53;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeatmapRequest {
    weeks: u16,
    /// The buckets that count.
    pub filters: Filters,
}

impl HeatmapRequest {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &FILTERS);
        let weeks = fields.optional_text("weeks", |text| number(text, MAX_WEEKS)).unwrap_or(DEFAULT_WEEKS);
        let filters = Filters::read(&mut fields);
        fields.finish(Some(Self { weeks, filters }))
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
            let request = HeatmapRequest::parse(&[("weeks".to_owned(), weeks.to_owned())]).unwrap();
            let DayRange { from, to } = request.days(today.parse().unwrap());
            format!("{from} {to}")
        };
        assert_eq!(days("1", "2026-11-16"), "2026-11-16 2026-11-22", "a Monday");
        assert_eq!(days("1", "2026-11-22"), "2026-11-16 2026-11-22", "a Sunday");
        assert_eq!(days("2", "2026-11-20"), "2026-11-09 2026-11-22");
        assert_eq!(days("104", "2026-11-20"), "2024-11-25 2026-11-22");
        for weeks in ["0", "105", "-1", "1.5", ""] {
            let refused = HeatmapRequest::parse(&[("weeks".to_owned(), weeks.to_owned())]).unwrap_err();
            let [violation] = refused.violations() else { panic!("one violation: {refused:?}") };
            assert_eq!((violation.pointer.as_str(), violation.code), ("?weeks", "out_of_range"), "{weeks}");
        }
    }
}
