//! A request for a heatmap: which days or how many weeks, with which day weeks begin, which buckets.

use chrono::{NaiveDate, TimeDelta};

use crate::features::dashboard_rollup::checked::{Checked, hold, no_fields};
use crate::features::dashboard_rollup::range::{AskedDays, Cap, CapUnit, DayRange, FILTERS, Filters};
use crate::features::dashboard_rollup::snapshot::UsageRequest;
use crate::features::dashboard_rollup::state::RollupState;
use crate::features::dashboard_rollup::week::{WEEK_START, WeekStart};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::number;
use crate::kernel::problem::Problem;

const KNOWN: [&str; 7] = ["from", "to", "weeks", WEEK_START, "source", "model", "device"];
/// A heatmap has at most this many weeks, two years.
pub const MAX_WEEKS: u16 = 104;
/// A year and the week it begins in.
pub const DEFAULT_WEEKS: u16 = 53;
/// As many days as the most weeks have.
const DAYS: Cap =
    Cap { most: 728, unit: CapUnit::Days, of: "a heatmap", instead: ", or for GET /v1/rollups?width=week" };

/// What is asked for: days, or else weeks up to the present one. By default: 53 weeks of all usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeatmapRequest {
    /// The local days, as far as they are named; at most 728.
    pub days: AskedDays,
    /// How many weeks: 1 to 104, by default 53. Only where no day is named.
    pub weeks: Option<u16>,
    /// The day on which weeks begin.
    pub week_start: WeekStart,
    /// The buckets that count.
    pub filters: Filters,
}

impl HeatmapRequest {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Checked<Self>, Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &FILTERS);
        let request = Self {
            days: AskedDays::read(&mut fields),
            weeks: fields.optional_text("weeks", |text| number(text, MAX_WEEKS)),
            week_start: WeekStart::read(&mut fields).unwrap_or_default(),
            filters: Filters::read(&mut fields),
        };
        request.check_together(&mut fields);
        Checked::new(fields, request)
    }

    /// The request, where it keeps the rules of the query. Errors: 422 with every violation, as the query has them.
    pub fn checked(self) -> Result<Checked<Self>, Problem> {
        let mut fields = no_fields();
        let days = self.days.check(&mut fields);
        let weeks = self.weeks.and_then(|weeks| hold(&mut fields, "weeks", number(&weeks.to_string(), MAX_WEEKS)));
        self.filters.check(&mut fields);
        let request = Self { days, weeks, ..self };
        request.check_together(&mut fields);
        Checked::new(fields, request)
    }

    /// Notes values that are right alone and wrong together.
    fn check_together(&self, fields: &mut FieldReader) {
        fields.add(self.days.violation(&DAYS));
        if self.weeks.is_some() && self.names_days() {
            let detail = "Weeks are counted back from today: leave them out, or leave out from and to.";
            fields.refuse("weeks", ("weeks_or_days", detail.into()));
        }
    }

    fn names_days(&self) -> bool {
        self.days != AskedDays::default()
    }

    /// The days that are named, or else whole weeks with today in the last one.
    fn days(&self, today: NaiveDate) -> DayRange {
        if self.names_days() {
            return self.days.resolve(today);
        }
        let this_week = self.week_start.week_of(today);
        let weeks_before = TimeDelta::weeks(i64::from(self.weeks.unwrap_or(DEFAULT_WEEKS)) - 1);
        DayRange { from: this_week.first_day() - weeks_before, to: this_week.last_day() }
    }
}

impl UsageRequest for HeatmapRequest {
    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        let days = self.days(state.today());
        days.violation(&DAYS).map_or(Ok(days), |violation| Err(Problem::invalid(vec![violation])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Checked<HeatmapRequest>, Problem> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        HeatmapRequest::parse(&parameters)
    }

    fn days(query: &str, today: &str) -> String {
        let DayRange { from, to } = parse(query).unwrap().days(today.parse().unwrap());
        format!("{from} {to}")
    }

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        let problem = parse(query).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn a_week_runs_from_monday_to_sunday_and_today_is_in_the_last_one() {
        assert_eq!(days("weeks=1", "2026-11-16"), "2026-11-16 2026-11-22", "a Monday");
        assert_eq!(days("weeks=1", "2026-11-22"), "2026-11-16 2026-11-22", "a Sunday");
        assert_eq!(days("weeks=2", "2026-11-20"), "2026-11-09 2026-11-22");
        assert_eq!(days("weeks=104", "2026-11-20"), "2024-11-25 2026-11-22");
        for weeks in ["0", "105", "-1", "1.5", ""] {
            assert_eq!(codes(&format!("weeks={weeks}")), [("?weeks".to_owned(), "out_of_range")], "{weeks}");
        }
    }

    #[test]
    fn a_week_may_run_from_sunday_to_saturday() {
        let days = |weeks: u16, today: &str| days(&format!("week_start=sunday&weeks={weeks}"), today);
        assert_eq!(days(1, "2026-11-21"), "2026-11-15 2026-11-21", "a Saturday");
        assert_eq!(days(1, "2026-11-22"), "2026-11-22 2026-11-28", "a Sunday");
        assert_eq!(days(1, "2027-01-01"), "2026-12-27 2027-01-02", "the year changes within it");
        assert_eq!(days(104, "2026-11-20"), "2024-11-24 2026-11-21");
        assert_eq!(codes("week_start=saturday"), [("?week_start".to_owned(), "unknown_week_start")]);
    }

    #[test]
    fn days_that_are_named_are_the_days_up_to_as_many_as_the_most_weeks_have() {
        assert_eq!(days("from=2026-01-01&to=2026-12-31", "2026-11-20"), "2026-01-01 2026-12-31");
        assert_eq!(days("from=2026-11-18", "2026-11-20"), "2026-11-18 2026-11-20", "up to today");
        assert_eq!(days("to=2026-03-01", "2026-11-20"), "2026-01-31 2026-03-01", "thirty days");
        assert_eq!(days("from=2024-02-29&to=2026-02-25", "2026-11-20"), "2024-02-29 2026-02-25", "728 days");
        let from = |code| [("?from".to_owned(), code)];
        assert_eq!(codes("from=2024-02-29&to=2026-02-26"), from("range_too_long"));
        assert_eq!(codes("from=2026-01-02&to=2026-01-01"), from("range_is_reversed"));
        for named in ["from=2026-11-01", "to=2026-11-01", "from=2026-11-01&to=2026-11-02"] {
            let both = [("?weeks".to_owned(), "weeks_or_days")];
            assert_eq!(codes(&format!("weeks=1&{named}")), both, "{named}");
        }
    }

    #[test]
    fn a_request_made_in_rust_breaks_the_same_rules_as_its_query() {
        let day = |text: &str| Some(text.parse().unwrap());
        let default = HeatmapRequest::default;
        for (request, query) in [
            (default(), ""),
            (HeatmapRequest { weeks: Some(0), ..default() }, "weeks=0"),
            (
                HeatmapRequest { week_start: WeekStart::Sunday, weeks: Some(104), ..default() },
                "week_start=sunday&weeks=104",
            ),
            (
                HeatmapRequest { days: AskedDays { from: day("1969-12-31"), to: None }, weeks: Some(4), ..default() },
                "from=1969-12-31&weeks=4",
            ),
            (
                HeatmapRequest { days: AskedDays { from: None, to: day("2026-01-01") }, weeks: Some(4), ..default() },
                "to=2026-01-01&weeks=4",
            ),
            (
                HeatmapRequest { days: AskedDays { from: day("2020-01-01"), to: day("2026-01-01") }, ..default() },
                "from=2020-01-01&to=2026-01-01",
            ),
        ] {
            let violations = |checked: Result<Checked<HeatmapRequest>, Problem>| {
                checked.map_err(|problem| problem.violations().to_vec())
            };
            assert_eq!(violations(request.checked()), violations(parse(query)), "{query}");
        }
    }
}
