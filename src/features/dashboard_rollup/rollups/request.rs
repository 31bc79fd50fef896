//! A request for rollups: which days, which buckets, in which intervals and groups, which page.

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::width::Width;
use crate::features::dashboard_rollup::cells::{CSV, Paging};
use crate::features::dashboard_rollup::checked::{Checked, hold, no_fields};
use crate::features::dashboard_rollup::range::{AskedDays, Cap, CapUnit, DayRange, Filters, PagePosition};
use crate::features::dashboard_rollup::snapshot::UsageRequest;
use crate::features::dashboard_rollup::state::RollupState;
use crate::features::dashboard_rollup::week::WEEK_START;
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::page::MAX_LIMIT;
use crate::kernel::http::values::{number, time_zone};
use crate::kernel::problem::Problem;

const KNOWN: [&str; 13] = [
    "from",
    "to",
    "width",
    WEEK_START,
    "time_zone",
    "group_by",
    "source",
    "model",
    "device",
    "fill",
    CSV,
    "limit",
    "cursor",
];
const LISTS: [&str; 4] = ["group_by", "source", "model", "device"];

const OTHER_ZONE: Cap = Cap {
    most: 31,
    unit: CapUnit::Days,
    of: "another time_zone than the rollup's",
    instead: ", or leave time_zone out: the rollup's own days are ready",
};

/// The columns by which an interval is split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupBy {
    /// By tool.
    pub source: bool,
    /// By model.
    pub model: bool,
    /// By device.
    pub device: bool,
}

impl GroupBy {
    /// What an interval can be split by.
    pub const ALL: [&'static str; 3] = ["source", "model", "device"];

    /// The groups' names, in the order in which results are sorted.
    pub fn names(self) -> Vec<&'static str> {
        let named = [(self.source, "source"), (self.model, "model"), (self.device, "device")];
        named.into_iter().filter_map(|(wanted, name)| wanted.then_some(name)).collect()
    }

    fn read(fields: &mut FieldReader) -> Self {
        let mut group_by = Self::default();
        fields.list("group_by", GroupBy::ALL.len(), |name| group_by.add(name));
        group_by
    }

    fn add(&mut self, name: &str) -> Result<(), Broken> {
        let group = match name {
            "source" => &mut self.source,
            "model" => &mut self.model,
            "device" => &mut self.device,
            _ => return Err(("unknown_group", "Expected any of source, model, device.".into())),
        };
        if std::mem::replace(group, true) {
            return Err(("duplicate_group", format!("{name} is named twice.").into()));
        }
        Ok(())
    }
}

/// A result by its place in the order: interval and group. A column that is no group is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResultKey {
    /// The interval: its first local day, or for half hours and hours its first half hour in
    /// UTC.
    pub at: NaiveDateTime,
    /// The tool.
    pub source: String,
    /// The model.
    pub model: String,
    /// The device.
    pub device: Uuid,
}

/// What is asked for, before it is known which day is today. By default: thirty days, day by day, of all usage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupsRequest {
    /// The local days, as far as they are named.
    pub days: AskedDays,
    /// How long an interval is.
    pub width: Width,
    /// The zone whose days are meant, if it was named.
    pub time_zone: Option<String>,
    /// The groups within an interval.
    pub group_by: GroupBy,
    /// The buckets that count.
    pub filters: Filters,
    /// Whether intervals without usage are wanted too.
    pub fills: bool,
    /// How many results a page may hold: 1 to 1000, by default 1000.
    pub limit: Option<u16>,
    /// Where the page before ended; `None` asks for the first page.
    pub after: Option<PagePosition<ResultKey>>,
}

impl RollupsRequest {
    /// Reads the query's parameters. The cursor stays sealed. Errors: 422 with every violation.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<(Checked<Self>, Paging), Problem> {
        let mut fields = FieldReader::of_query(parameters, &KNOWN, &LISTS);
        let request = Self {
            days: AskedDays::read(&mut fields),
            width: Width::read(&mut fields),
            time_zone: fields.optional_text("time_zone", time_zone),
            group_by: GroupBy::read(&mut fields),
            filters: Filters::read(&mut fields),
            fills: fields.optional_text("fill", fill).unwrap_or_default(),
            limit: fields.optional_text("limit", |text| number(text, MAX_LIMIT)),
            after: None,
        };
        let paging = Paging::read(&mut fields);
        request.check_together(&mut fields);
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
        let request = Self { days, ..self };
        request.check_together(&mut fields);
        Checked::new(fields, request)
    }

    /// Notes values that are right alone and wrong together.
    fn check_together(&self, fields: &mut FieldReader) {
        fields.add(self.days.violation(&self.width.cap()));
        if self.fills && self.group_by != GroupBy::default() {
            let detail = "Which groups a day without usage has, nobody knows: leave group_by out, or fill.";
            fields.refuse("fill", ("fill_needs_no_groups", detail.into()));
        }
    }

    /// How many results a page may hold.
    pub(super) fn page_size(&self) -> usize {
        self.limit.unwrap_or(MAX_LIMIT).into()
    }

    /// Whether only the buckets can answer.
    pub(super) fn is_from_buckets(&self, state: &RollupState) -> bool {
        self.width.is_of_clock() || state.is_other_zone()
    }
}

impl Checked<RollupsRequest> {
    /// The same request for the page behind a position; `None` asks for the first page.
    #[must_use]
    pub fn after(self, position: Option<PagePosition<ResultKey>>) -> Self {
        self.with(|request| request.after = position)
    }
}

impl UsageRequest for RollupsRequest {
    fn time_zone(&self) -> Option<&str> {
        self.time_zone.as_deref()
    }

    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        let days = self.days.of_page(state, self.after.as_ref())?;
        let other_zone = state.is_other_zone().then(|| days.violation(&OTHER_ZONE)).flatten();
        match days.violation(&self.width.cap()).or(other_zone) {
            Some(violation) => Err(Problem::invalid(vec![violation])),
            None => Ok(days),
        }
    }
}

fn fill(text: &str) -> Result<bool, Broken> {
    match text {
        "none" => Ok(false),
        "zero" => Ok(true),
        _ => Err(("unknown_fill", "Expected none or zero.".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::http::body::Parameters;

    fn parse(query: &str) -> Result<RollupsRequest, Problem> {
        RollupsRequest::parse(&Parameters::of(query)?.0).map(|(request, _)| RollupsRequest::clone(&request))
    }

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        let problem = parse(query).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn each_width_has_its_longest_range_and_one_day_week_or_month_more_is_refused() {
        for (served, refused) in [
            ("from=2024-01-01&to=2026-03-10", "from=2024-01-01&to=2026-03-11"),
            ("width=month&from=2020-01-31&to=2029-12-01", "width=month&from=2020-01-31&to=2030-01-01"),
            ("width=half_hour&from=2026-01-01&to=2026-01-31", "width=half_hour&from=2026-01-01&to=2026-02-01"),
            ("width=hour&from=2026-01-01&to=2026-01-31", "width=hour&from=2026-01-01&to=2026-02-01"),
            // 520 weeks from the first Monday of 2026, however little of the first and the last one is asked for.
            ("width=week&from=2026-01-11&to=2035-12-17", "width=week&from=2026-01-11&to=2035-12-24"),
            (
                "width=week&week_start=sunday&from=2026-01-10&to=2035-12-16",
                "width=week&week_start=sunday&from=2026-01-10&to=2035-12-23",
            ),
        ] {
            assert!(parse(served).is_ok(), "{served}");
            assert_eq!(codes(refused), [("?from".to_owned(), "range_too_long")], "{refused}");
        }
        let detail = |query| parse(query).unwrap_err().violations()[0].detail.clone();
        assert!(
            detail("width=half_hour&from=2026-01-01&to=2026-02-01")
                .contains("at most 31. Ask for fewer, or for width=day")
        );
        assert!(detail("from=2024-01-01&to=2026-03-11").ends_with("at most 800. Ask for fewer, or for width=month."));
    }

    #[test]
    fn groups_may_be_repeated_or_listed_and_are_named_in_sorting_order() {
        let both = parse("group_by=device,source&group_by=model").unwrap().group_by;
        assert_eq!(both.names(), ["source", "model", "device"]);
        assert_eq!(parse("").unwrap().group_by.names(), Vec::<&str>::new());
        assert_eq!(codes("group_by=source&group_by=source"), [("?group_by".to_owned(), "duplicate_group")]);
        assert_eq!(codes("group_by="), [("?group_by".to_owned(), "unknown_group")]);
        assert_eq!(codes("group_by=source,%20model"), [("?group_by".to_owned(), "unknown_group")]);
    }

    #[test]
    fn every_violation_is_found() {
        let query = "from=2026-02-30&to=20261120&width=year&group_by=colour&source=Emacs&model=a%20&device=7&zoom=1\
            &fill=one&limit=0&time_zone=%00";
        let expected = [
            ("?zoom", "unknown_parameter"),
            ("?from", "not_a_date"),
            ("?to", "not_a_date"),
            ("?width", "unknown_width"),
            ("?time_zone", "unknown_time_zone"),
            ("?group_by", "unknown_group"),
            ("?source", "malformed_source"),
            ("?model", "malformed_model"),
            ("?device", "not_a_uuid"),
            ("?fill", "unknown_fill"),
            ("?limit", "out_of_range"),
        ];
        assert_eq!(codes(query), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
        assert_eq!(codes("fill=zero&group_by=model"), [("?fill".to_owned(), "fill_needs_no_groups")]);
    }

    #[test]
    fn what_may_be_given_once_is_refused_twice_and_filters_may_repeat() {
        let single =
            ["from=2026-01-01", "to=2026-01-01", "width=day", "time_zone=UTC", "fill=none", "limit=1", "cursor=x"];
        for parameter in single {
            let pointer = format!("?{}", parameter.split('=').next().unwrap());
            assert_eq!(codes(&format!("{parameter}&{parameter}")), [(pointer, "repeated_parameter")]);
        }
        let filters = parse("source=codex&source=amp&model=m1,m2").unwrap().filters;
        assert_eq!((filters.sources.len(), filters.models.len()), (2, 2));
        assert_eq!(parse("model=a%2Cb,c").unwrap().filters.model_names(), ["a,b", "c"]);
        assert!(parse(&vec!["model=m"; 100].join("&")).is_ok());
        assert_eq!(codes(&vec!["model=m"; 101].join("&")), [("?model".to_owned(), "too_many_values")]);
    }
    #[test]
    fn a_request_made_in_rust_breaks_the_same_rules_as_its_query() {
        let day = |text: &str| Some(text.parse().unwrap());
        let source = crate::kernel::bucket::Source::parse("codex").unwrap();
        let days = |from, to| AskedDays { from: day(from), to: day(to) };
        let grouped = GroupBy { model: true, ..GroupBy::default() };
        let many = Filters { sources: vec![source; 101], ..Filters::default() };
        let default = RollupsRequest::default;
        for (request, query) in [
            (default(), String::new()),
            (
                RollupsRequest { days: days("1969-12-31", "9999-01-01"), ..default() },
                "from=1969-12-31&to=9999-01-01".into(),
            ),
            (
                RollupsRequest { days: days("2026-01-02", "2026-01-01"), ..default() },
                "from=2026-01-02&to=2026-01-01".into(),
            ),
            (
                RollupsRequest {
                    days: days("2026-01-01", "2026-02-01"),
                    width: Width::HalfHour,
                    time_zone: Some(String::new()),
                    group_by: grouped,
                    filters: many,
                    fills: true,
                    limit: Some(0),
                    after: None,
                },
                format!(
                    "from=2026-01-01&to=2026-02-01&width=half_hour&time_zone=&group_by=model&fill=zero&limit=0&{}",
                    vec!["source=codex"; 101].join("&")
                ),
            ),
        ] {
            let from_rust = request.checked().map(|request| RollupsRequest::clone(&request));
            let violations = |checked: Result<_, Problem>| checked.map_err(|problem| problem.violations().to_vec());
            assert_eq!(violations(from_rust), violations(parse(&query)), "{query:.80}");
        }
    }
}
