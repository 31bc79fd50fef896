//! The query of `GET /v1/rollups`: which days, which buckets, in which groups. All violations are found, not the first.

use std::collections::HashMap;

use chrono::{Datelike as _, Days, NaiveDate};
use uuid::Uuid;

use crate::kernel::bucket::{Model, SOURCES, Source};
use crate::kernel::problem::Violation;

/// A range has at most this many days.
pub const MAX_DAYS: i64 = 800;
/// The days of a range that is not given whole.
const DEFAULT_DAYS: u64 = 30;
/// Each filter names at most this many values.
const MAX_FILTER_VALUES: usize = 100;

const SINGLE: [&str; 3] = ["from", "to", "width"];
const KNOWN: &str = "from, to, width, group_by, source, model, device";

/// What is asked for, before it is known which day is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
    /// The groups within an interval.
    pub group_by: GroupBy,
    /// The buckets that count.
    pub filters: Filters,
}

/// Local days, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// The first day.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
}

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

/// The values that count, by column; an empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Tools.
    pub sources: Vec<Source>,
    /// Models.
    pub models: Vec<Model>,
    /// Devices.
    pub devices: Vec<Uuid>,
}

impl GroupBy {
    /// The groups' names, in the order in which results are sorted.
    pub fn names(self) -> Vec<&'static str> {
        let named = [(self.source, "source"), (self.model, "model"), (self.device, "device")];
        named.into_iter().filter_map(|(wanted, name)| wanted.then_some(name)).collect()
    }

    fn add(&mut self, name: &str) -> Result<(), Violation> {
        let group = match name {
            "source" => &mut self.source,
            "model" => &mut self.model,
            "device" => &mut self.device,
            _ => {
                let detail = format!("{name:?} is not a group; use any of source, model, device.");
                return Err(Violation::new("?group_by", "unknown_group", detail));
            }
        };
        if std::mem::replace(group, true) {
            return Err(Violation::new("?group_by", "duplicate_group", format!("{name} is named twice.")));
        }
        Ok(())
    }
}

impl Request {
    /// Reads the query's parameters.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Vec<Violation>> {
        let mut request = Self::default();
        let mut violations = repeated(parameters);
        for (name, value) in parameters {
            if let Err(violation) = request.take(name, value) {
                violations.push(violation);
            }
        }
        violations.extend(request.filters.too_many());
        if let (Some(from), Some(to)) = (request.from, request.to) {
            violations.extend(DayRange { from, to }.violation());
        }
        if violations.is_empty() { Ok(request) } else { Err(violations) }
    }

    /// The days asked for: up to today where `to` is left out, thirty where `from` is.
    pub fn days(&self, today: NaiveDate) -> Result<DayRange, Vec<Violation>> {
        let to = self.to.unwrap_or(today);
        let default_from = || to.checked_sub_days(Days::new(DEFAULT_DAYS - 1)).unwrap_or(to);
        let days = DayRange { from: self.from.unwrap_or_else(default_from), to };
        days.violation().map_or(Ok(days), |violation| Err(vec![violation]))
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Violation> {
        match name {
            "from" => self.from = Some(date("?from", value)?),
            "to" => self.to = Some(date("?to", value)?),
            "width" if value == "day" => {}
            "width" => {
                let detail = format!("{value:?} is not a width; this version serves `day`.");
                return Err(Violation::new("?width", "unknown_width", detail));
            }
            "group_by" => {
                for group in value.split(',') {
                    self.group_by.add(group)?;
                }
            }
            "source" => self.filters.sources.push(source(value)?),
            "model" => self.filters.models.push(model(value)?),
            "device" => self.filters.devices.push(device(value)?),
            _ => {
                let detail = format!("There is no such parameter; known are {KNOWN}.");
                return Err(Violation::new(format!("?{name}"), "unknown_parameter", detail));
            }
        }
        Ok(())
    }
}

impl DayRange {
    fn violation(self) -> Option<Violation> {
        let days = self.to.signed_duration_since(self.from).num_days() + 1;
        if days < 1 {
            let detail = format!("from ({}) must not be after to ({}).", self.from, self.to);
            return Some(Violation::new("?from", "range_is_reversed", detail));
        }
        (days > MAX_DAYS).then(|| {
            let detail = format!("{days} days are asked for; ask for at most {MAX_DAYS} in one request.");
            Violation::new("?from", "range_too_long", detail)
        })
    }
}

impl Filters {
    fn too_many(&self) -> impl Iterator<Item = Violation> {
        let counts = [("source", self.sources.len()), ("model", self.models.len()), ("device", self.devices.len())];
        counts.into_iter().filter(|(_, count)| *count > MAX_FILTER_VALUES).map(|(name, count)| {
            let detail = format!("{count} values; name at most {MAX_FILTER_VALUES}, or group_by={name} instead.");
            Violation::new(format!("?{name}"), "too_many_values", detail)
        })
    }
}

fn repeated(parameters: &[(String, String)]) -> Vec<Violation> {
    let mut counts = HashMap::<&str, usize>::new();
    for (name, _) in parameters {
        *counts.entry(name).or_default() += 1;
    }
    let repeated = SINGLE.into_iter().filter(|name| counts.get(name).is_some_and(|count| *count > 1));
    repeated.map(|name| Violation::new(format!("?{name}"), "repeated_parameter", "Give it once.")).collect()
}

fn date(pointer: &str, text: &str) -> Result<NaiveDate, Violation> {
    let date = text.parse::<NaiveDate>().ok();
    // The parser is generous with spaces and missing zeros; what is not written back the same is not a date.
    date.filter(|date| date.year() >= 1970 && date.to_string() == text).ok_or_else(|| {
        let detail = format!("{text:?} is not a date; use YYYY-MM-DD, from 1970 on.");
        Violation::new(pointer, "not_a_date", detail)
    })
}

fn source(text: &str) -> Result<Source, Violation> {
    Source::parse(text).ok_or_else(|| {
        let detail = format!("{text:?} is not a source; known are {}.", SOURCES.join(", "));
        Violation::new("?source", "unknown_source", detail)
    })
}

fn model(text: &str) -> Result<Model, Violation> {
    Model::parse(text).ok_or_else(|| {
        let detail = format!("{text:?} is not a model's name: 1 to 128 of A-Z a-z 0-9 . _ : / @ + -.");
        Violation::new("?model", "not_a_model", detail)
    })
}

fn device(text: &str) -> Result<Uuid, Violation> {
    Uuid::try_parse(text)
        .map_err(|_| Violation::new("?device", "not_a_uuid", format!("{text:?} is not a device's id, a UUID.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Request, Vec<Violation>> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Request::parse(&parameters)
    }

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        parse(query).unwrap_err().into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn days(query: &str, today: &str) -> (NaiveDate, NaiveDate) {
        let range = parse(query).unwrap().days(day(today)).unwrap();
        (range.from, range.to)
    }

    #[test]
    fn a_range_left_open_is_the_thirty_days_to_its_end_or_to_today() {
        assert_eq!(days("", "2026-11-20"), (day("2026-10-22"), day("2026-11-20")));
        assert_eq!(days("to=2026-03-01", "2026-11-20"), (day("2026-01-31"), day("2026-03-01")));
        assert_eq!(days("from=2026-11-01", "2026-11-20"), (day("2026-11-01"), day("2026-11-20")));
        assert_eq!(days("from=2026-11-20&to=2026-11-20", "2020-01-01"), (day("2026-11-20"), day("2026-11-20")));
    }

    #[test]
    fn eight_hundred_days_are_served_and_one_more_is_not() {
        assert!(parse("from=2024-01-01&to=2026-03-10").is_ok(), "800 days");
        assert_eq!(codes("from=2024-01-01&to=2026-03-11"), [("?from".to_owned(), "range_too_long")]);
        let open = parse("from=2024-01-01").unwrap();
        assert_eq!(open.days(day("2026-03-11")).unwrap_err()[0].code, "range_too_long");
        assert_eq!(open.days(day("2023-12-31")).unwrap_err()[0].code, "range_is_reversed");
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
        let query = "from=2026-02-30&to=20261120&width=month&group_by=colour&source=emacs&model=a%20b&device=7&zoom=1";
        let expected = [
            ("?from", "not_a_date"),
            ("?to", "not_a_date"),
            ("?width", "unknown_width"),
            ("?group_by", "unknown_group"),
            ("?source", "unknown_source"),
            ("?model", "not_a_model"),
            ("?device", "not_a_uuid"),
            ("?zoom", "unknown_parameter"),
        ];
        assert_eq!(codes(query), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }

    #[test]
    fn what_may_be_given_once_is_refused_twice_and_filters_may_repeat() {
        assert_eq!(
            codes("from=2026-01-01&from=2026-01-01&width=day&width=day"),
            [("?from".to_owned(), "repeated_parameter"), ("?width".to_owned(), "repeated_parameter")]
        );
        let filters = parse("source=codex&source=amp&model=m1&model=m2").unwrap().filters;
        assert_eq!((filters.sources.len(), filters.models.len()), (2, 2));
        let many = vec!["model=m"; MAX_FILTER_VALUES + 1].join("&");
        assert_eq!(codes(&many), [("?model".to_owned(), "too_many_values")]);
    }

    #[test]
    fn dates_are_exactly_ten_characters_of_a_real_day() {
        for bad in ["", "2026-1-05", "2026-01-5 ", "+2026-1-01", "2026-13-01", "0000-01-01", "1969-12-31", "２０２６"]
        {
            assert_eq!(codes(&format!("from={bad}")), [("?from".to_owned(), "not_a_date")], "{bad}");
        }
    }
}
