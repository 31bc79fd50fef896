//! A request for a summary: which days, which buckets.

use crate::features::dashboard_rollup::checked::{Checked, no_fields};
use crate::features::dashboard_rollup::range::{AskedDays, Cap, CapUnit, DayRange, FILTERS, Filters};
use crate::features::dashboard_rollup::snapshot::UsageRequest;
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::problem::Problem;

const KNOWN: [&str; 5] = ["from", "to", "source", "model", "device"];

const DAYS: Cap =
    Cap { most: 800, unit: CapUnit::Days, of: "a summary", instead: ", or for GET /v1/rollups?width=month" };

/// What is asked for, before it is known which day is today. By default: thirty days of all usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryRequest {
    /// The local days, as far as they are named.
    pub days: AskedDays,
    /// The buckets that count.
    pub filters: Filters,
}

impl SummaryRequest {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Checked<Self>, Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &FILTERS);
        let request = Self { days: AskedDays::read(&mut fields), filters: Filters::read(&mut fields) };
        fields.add(request.days.violation(&DAYS));
        Checked::new(fields, request)
    }

    /// The request, where it keeps the rules of the query. Errors: 422 with every violation, as the query has them.
    pub fn checked(self) -> Result<Checked<Self>, Problem> {
        let mut fields = no_fields();
        let days = self.days.check(&mut fields);
        self.filters.check(&mut fields);
        fields.add(days.violation(&DAYS));
        Checked::new(fields, self)
    }
}

impl UsageRequest for SummaryRequest {
    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        let days = self.days.resolve(state.today());
        days.violation(&DAYS).map_or(Ok(days), |violation| Err(Problem::invalid(vec![violation])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_another_route_is_refused_by_name() {
        let pairs = |query: &str| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
        let codes = |query: &str| {
            let problem = SummaryRequest::parse(&pairs(query)).unwrap_err();
            problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect::<Vec<_>>()
        };
        for name in ["width", "group_by", "limit", "cursor", "time_zone", "fill", "weeks"] {
            assert_eq!(codes(&format!("{name}=day")), [(format!("?{name}"), "unknown_parameter")]);
        }
        assert_eq!(codes("from=2024-01-01&to=2026-03-11"), [("?from".to_owned(), "range_too_long")]);
        assert_eq!(codes("to=2026-01-01&to=2026-01-01"), [("?to".to_owned(), "repeated_parameter")]);
    }
}
