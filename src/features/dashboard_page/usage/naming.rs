//! How days and things are called on a page, and where theirs is.

use std::collections::HashMap;

use chrono::{Datelike as _, Days, Months, NaiveDate, Weekday};
use uuid::Uuid;

use super::request::{BarWidth, UsageView};
use crate::kernel::dashboards::Dimension;

/// How devices are called, by their id.
pub type DeviceNames = HashMap<String, String>;

/// How something is called on a page.
pub fn called(by: Dimension, name: &str, names: &DeviceNames) -> String {
    match by {
        Dimension::Tool | Dimension::Model => name.to_owned(),
        Dimension::Device => {
            let known = names.get(name).cloned();
            known.unwrap_or_else(|| Uuid::try_parse(name).map_or_else(|_| name.to_owned(), |id| format!("device {id}")))
        }
    }
}

/// Where the page of something is, with what else is asked.
pub fn page_of(view: &UsageView, by: Dimension, name: &str) -> String {
    let (path, parameter) = match by {
        Dimension::Tool => ("/tool", "source"),
        Dimension::Model => ("/model", "model"),
        Dimension::Device => ("/device", "device_id"),
    };
    let day = view.asked("day").map(str::to_owned);
    let mut changes = vec![(parameter, Some(name)), ("day", None), ("group", None), ("sort", None), ("most", None)];
    if let Some(day) = &day {
        changes.extend([("from", Some(day.as_str())), ("to", Some(day.as_str()))]);
    }
    view.link(path, &changes)
}

/// A day as one reads it: `Sat 28 Nov 2026`.
pub fn in_words(day: NaiveDate) -> String {
    day.format("%a %-d %b %Y").to_string()
}

/// The last day of an interval that begins on a day, within a range.
pub fn last_day(width: BarWidth, first: NaiveDate, to: NaiveDate) -> NaiveDate {
    let last = match width {
        BarWidth::HalfHour | BarWidth::Hour | BarWidth::Day => Some(first),
        BarWidth::Week => first.checked_add_days(Days::new(6)),
        BarWidth::Month => first.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))?.pred_opt()),
    };
    last.unwrap_or(to).min(to)
}

/// The name of a weekday in the address.
pub const fn week_start_name(start: Weekday) -> &'static str {
    if matches!(start, Weekday::Sun) { "sunday" } else { "monday" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_ends_within_its_range() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        for (width, first, to, last) in [
            (BarWidth::Day, "2026-11-28", "2026-12-31", "2026-11-28"),
            (BarWidth::Week, "2026-11-23", "2026-12-31", "2026-11-29"),
            (BarWidth::Week, "2026-11-23", "2026-11-25", "2026-11-25"),
            (BarWidth::Month, "2028-02-01", "2028-12-31", "2028-02-29"),
            (BarWidth::Month, "2026-12-01", "2026-12-30", "2026-12-30"),
        ] {
            assert_eq!(last_day(width, day(first), day(to)), day(last));
        }
        assert_eq!(in_words(day("2026-11-08")), "Sun 8 Nov 2026");
    }
}
