//! A request for buckets: which days, which buckets, which page.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::features::dashboard_rollup::cells::{CSV, Paging};
use crate::features::dashboard_rollup::checked::{Checked, hold, no_fields};
use crate::features::dashboard_rollup::range::{AskedDays, Cap, CapUnit, DayRange, FILTERS, Filters, PagePosition};
use crate::features::dashboard_rollup::snapshot::UsageRequest;
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::page::MAX_LIMIT;
use crate::kernel::http::values::{number, time_zone};
use crate::kernel::problem::Problem;

const KNOWN: [&str; 9] = ["from", "to", "time_zone", "source", "model", "device", CSV, "limit", "cursor"];

/// A page holds this many buckets where nothing else is said.
const DEFAULT_LIMIT: u16 = 100;

const DAYS: Cap = Cap {
    most: 31,
    unit: CapUnit::Days,
    of: "GET /v1/buckets",
    instead: ", or for the sums of more at GET /v1/rollups",
};

/// What a bucket is known by within its user; buckets come in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// The start of the half hour.
    pub hour_start: DateTime<Utc>,
    /// The device.
    pub device_id: Uuid,
    /// The tool.
    pub source: String,
    /// The model.
    pub model: String,
}

impl RowKey {
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

/// What is asked for, before it is known which day is today. By default: all of thirty days.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketsRequest {
    /// The local days, as far as they are named.
    pub days: AskedDays,
    /// The zone whose days are meant, if it was named.
    pub time_zone: Option<String>,
    /// The buckets that are wanted.
    pub filters: Filters,
    /// How many buckets a page may hold: 1 to 1000, by default 100.
    pub limit: Option<u16>,
    /// Where the page before ended; `None` asks for the first page.
    pub after: Option<PagePosition<RowKey>>,
}

impl BucketsRequest {
    /// Reads the query's parameters. The cursor stays sealed. Errors: 422 with every violation.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<(Checked<Self>, Paging), Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &FILTERS);
        let request = Self {
            days: AskedDays::read(&mut fields),
            time_zone: fields.optional_text("time_zone", time_zone),
            filters: Filters::read(&mut fields),
            limit: fields.optional_text("limit", |text| number(text, MAX_LIMIT)),
            after: None,
        };
        let paging = Paging::read(&mut fields);
        fields.add(request.days.violation(&DAYS));
        Ok((Checked::new(fields, request)?, paging))
    }

    /// The request, where it keeps the rules of the query. Errors: 422 with every violation, as the query has them.
    pub fn checked(self) -> Result<Checked<Self>, Problem> {
        let mut fields = no_fields();
        let days = self.days.check(&mut fields);
        if let Some(name) = &self.time_zone {
            hold(&mut fields, "time_zone", time_zone(name));
        }
        self.filters.check(&mut fields);
        if let Some(limit) = self.limit {
            hold(&mut fields, "limit", number(&limit.to_string(), MAX_LIMIT));
        }
        fields.add(days.violation(&DAYS));
        Checked::new(fields, self)
    }

    /// How many buckets a page may hold.
    pub(super) fn page_size(&self) -> u16 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }
}

impl Checked<BucketsRequest> {
    /// The same request for the page behind a position; `None` asks for the first page.
    #[must_use]
    pub fn after(self, position: Option<PagePosition<RowKey>>) -> Self {
        self.with(|request| request.after = position)
    }

    /// The same request in the largest pages.
    #[must_use]
    pub fn in_largest_pages(self) -> Self {
        self.with(|request| request.limit = Some(MAX_LIMIT))
    }
}

impl UsageRequest for BucketsRequest {
    fn time_zone(&self) -> Option<&str> {
        self.time_zone.as_deref()
    }

    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        let days = self.days.of_page(state, self.after.as_ref())?;
        days.violation(&DAYS).map_or(Ok(days), |violation| Err(Problem::invalid(vec![violation])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let problem = BucketsRequest::parse(&parameters).err();
        let violations = problem.as_ref().map(Problem::violations).unwrap_or_default();
        violations.iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
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
                ("?width".to_owned(), "unknown_parameter"),
                ("?cursor".to_owned(), "repeated_parameter"),
                ("?time_zone".to_owned(), "unknown_time_zone"),
                ("?limit".to_owned(), "out_of_range"),
            ]
        );
    }
}
