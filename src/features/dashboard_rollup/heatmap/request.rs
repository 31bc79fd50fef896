//! A request for a heatmap: how many weeks, which buckets.

use chrono::{NaiveDate, TimeDelta, Weekday};

use crate::features::dashboard_rollup::checked::{Checked, hold, no_fields};
use crate::features::dashboard_rollup::range::{DayRange, FILTERS, Filters};
use crate::features::dashboard_rollup::snapshot::UsageRequest;
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::number;
use crate::kernel::problem::Problem;

const KNOWN: [&str; 4] = ["weeks", "source", "model", "device"];
/// A heatmap has at most this many weeks, two years.
const MAX_WEEKS: u16 = 104;
/// A year and the week it begins in.
const DEFAULT_WEEKS: u16 = 53;

/// What is asked for. By default: 53 weeks of all usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeatmapRequest {
    /// How many weeks: 1 to 104, by default 53.
    pub weeks: Option<u16>,
    /// The buckets that count.
    pub filters: Filters,
}

impl HeatmapRequest {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Checked<Self>, Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &FILTERS);
        let weeks = fields.optional_text("weeks", |text| number(text, MAX_WEEKS));
        let filters = Filters::read(&mut fields);
        Checked::new(fields, Self { weeks, filters })
    }

    /// The request, where it keeps the rules of the query. Errors: 422 with every violation, as the query has them.
    pub fn checked(self) -> Result<Checked<Self>, Problem> {
        let mut fields = no_fields();
        if let Some(weeks) = self.weeks {
            hold(&mut fields, "weeks", number(&weeks.to_string(), MAX_WEEKS));
        }
        self.filters.check(&mut fields);
        Checked::new(fields, self)
    }

    /// Whole weeks, Monday to Sunday; today is in the last one.
    fn days(&self, today: NaiveDate) -> DayRange {
        let this_week = today.week(Weekday::Mon);
        let weeks_before = TimeDelta::weeks(i64::from(self.weeks.unwrap_or(DEFAULT_WEEKS)) - 1);
        DayRange { from: this_week.first_day() - weeks_before, to: this_week.last_day() }
    }
}

impl UsageRequest for HeatmapRequest {
    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        Ok(self.days(state.today()))
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
