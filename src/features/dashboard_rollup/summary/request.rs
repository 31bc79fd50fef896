//! The query of `GET /v1/rollups/summary`: which days, which buckets.

use crate::features::dashboard_rollup::question::{self, AskedDays, Cap, CapUnit, DayRange, Filters};
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::problem::{Problem, Violation};

const KNOWN: [&str; 5] = ["from", "to", "source", "model", "device"];

const DAYS: Cap =
    Cap { most: 800, unit: CapUnit::Days, of: "a summary", instead: ", or for GET /v1/rollups?width=month" };

/// What is asked for, before it is known which day is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    days: AskedDays,
    /// The buckets that count.
    pub filters: Filters,
}

impl Request {
    /// Reads the query's parameters.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Vec<Violation>> {
        let mut request = Self::default();
        let mut violations = question::read(parameters, &KNOWN, |name, value| {
            match name {
                "from" => request.days.from = Some(question::date(name, value)?),
                "to" => request.days.to = Some(question::date(name, value)?),
                _ => request.filters.take(name, value)?,
            }
            Ok(())
        });
        violations.extend(request.filters.violations());
        violations.extend(request.days.violation(&DAYS));
        if violations.is_empty() { Ok(request) } else { Err(violations) }
    }

    /// The range, and the equally long one before it. Errors: 422 for a range that is reversed or too long.
    pub fn resolve(&self, state: &RollupState) -> Result<(DayRange, DayRange), Problem> {
        let days = self.days.resolve(state.today());
        match (days.violation(&DAYS), days.before()) {
            (None, Some(before)) => Ok((days, before)),
            (violation, _) => Err(Problem::invalid(violation.into_iter().collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_another_route_is_refused_by_name() {
        let pairs = |query: &str| url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>();
        let codes = |query: &str| {
            let violations = Request::parse(&pairs(query)).unwrap_err();
            violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect::<Vec<_>>()
        };
        for name in ["width", "group_by", "limit", "cursor", "time_zone", "fill", "weeks"] {
            assert_eq!(codes(&format!("{name}=day")), [(format!("?{name}"), "unknown_parameter")]);
        }
        assert_eq!(codes("from=2024-01-01&to=2026-03-11"), [("?from".to_owned(), "range_too_long")]);
        assert_eq!(codes("to=2026-01-01&to=2026-01-01"), [("?to".to_owned(), "repeated_parameter")]);
    }
}
