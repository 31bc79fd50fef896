//! The query of `GET /v1/buckets`: which days, which buckets, which page.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::features::dashboard_rollup::question::{self, AskedDays, Cap, CapUnit, DayRange, Filters, MAX_LIMIT};
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::problem::{Problem, Violation};

const KNOWN: [&str; 8] = ["from", "to", "time_zone", "source", "model", "device", "limit", "cursor"];

const DAYS: Cap = Cap {
    most: 31,
    unit: CapUnit::Days,
    of: "GET /v1/buckets",
    instead: ", or for the sums of more at GET /v1/rollups",
};

/// What a bucket is known by within its user; buckets come in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The start of the half hour.
    pub hour_start: DateTime<Utc>,
    /// The device.
    pub device_id: Uuid,
    /// The tool.
    pub source: String,
    /// The model.
    pub model: String,
}

impl Key {
    /// Before every bucket: there are none before 2020.
    pub const fn before_all() -> Self {
        Self {
            hour_start: DateTime::<Utc>::UNIX_EPOCH,
            device_id: Uuid::nil(),
            source: String::new(),
            model: String::new(),
        }
    }
}

/// Where a page ended: what the first page found out about the range, and the last bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Position {
    from: NaiveDate,
    to: NaiveDate,
    time_zone: String,
    /// The last bucket.
    pub after: Key,
}

impl Position {
    /// The end of a page.
    pub fn new(days: DayRange, time_zone: &str, after: Key) -> Self {
        Self { from: days.from, to: days.to, time_zone: time_zone.to_owned(), after }
    }
}

/// What is asked for, before it is known which day is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    days: AskedDays,
    /// The zone whose days are meant, if it was named.
    pub time_zone: Option<String>,
    /// The buckets that are wanted.
    pub filters: Filters,
    /// How many buckets a page may hold, if it was said.
    pub limit: Option<u16>,
    /// Where the page begins, sealed.
    pub cursor: Option<String>,
}

impl Request {
    /// Reads the query's parameters.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Vec<Violation>> {
        let mut request = Self::default();
        let mut violations = question::read(parameters, &KNOWN, |name, value| request.take(name, value));
        violations.extend(request.filters.violations());
        violations.extend(request.days.violation(&DAYS));
        if violations.is_empty() { Ok(request) } else { Err(violations) }
    }

    /// The days asked for: those of the first page, on every other one. Errors: 422 for a range that is reversed or too
    /// long, 400 for a position of another zone.
    pub fn resolve(&self, state: &RollupState, position: Option<&Position>) -> Result<DayRange, Problem> {
        let days = match position {
            Some(position) if position.time_zone != state.time_zone() => return Err(question::outdated_cursor()),
            Some(position) => DayRange { from: position.from, to: position.to },
            None => self.days.resolve(state.today()),
        };
        days.violation(&DAYS).map_or(Ok(days), |violation| Err(Problem::invalid(vec![violation])))
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Violation> {
        match name {
            "from" => self.days.from = Some(question::date(name, value)?),
            "to" => self.days.to = Some(question::date(name, value)?),
            "time_zone" => self.time_zone = Some(question::time_zone(value)?),
            "limit" => self.limit = Some(question::number(name, value, MAX_LIMIT)?),
            "cursor" => self.cursor = Some(value.to_owned()),
            _ => self.filters.take(name, value)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let violations = Request::parse(&parameters).err().unwrap_or_default();
        violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    #[test]
    fn thirty_one_days_are_served_and_one_more_is_not() {
        assert_eq!(codes("from=2026-01-01&to=2026-01-31"), []);
        assert_eq!(codes("from=2026-01-01&to=2026-02-01"), [("?from".to_owned(), "range_too_long")]);
        assert_eq!(codes("from=2026-01-02&to=2026-01-01"), [("?from".to_owned(), "range_is_reversed")]);
    }

    #[test]
    fn every_violation_is_found() {
        assert_eq!(
            codes("limit=1001&width=day&time_zone=&cursor=a&cursor=b"),
            [
                ("?cursor".to_owned(), "repeated_parameter"),
                ("?limit".to_owned(), "not_in_range"),
                ("?width".to_owned(), "unknown_parameter"),
                ("?time_zone".to_owned(), "unknown_time_zone"),
            ]
        );
    }
}
