//! Which days are meant, before it is known which day is today.

use chrono::{Datelike as _, Days, Months, NaiveDate, Weekday};

use crate::kernel::problem::{Problem, Violation};

/// A range that is not given whole ends today, or begins so many days before its end.
const DAYS_BY_DEFAULT: u64 = 30;
/// No range may have more days.
const MOST_DAYS: i64 = 800;

/// The days of a part of a question, inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartDays {
    /// From one day to another. The last one is today where it is left out; there are thirty where the first one is.
    Between {
        /// The first day.
        from: Option<NaiveDate>,
        /// The last day.
        to: Option<NaiveDate>,
    },
    /// One day; today where it is left out.
    One(Option<NaiveDate>),
    /// So many days up to today.
    Last(u16),
    /// So many weeks. The last one is the week of the last day, or of today, and ends with that day.
    Weeks {
        /// How many.
        count: u16,
        /// On which day they begin.
        start: Weekday,
        /// The last day.
        to: Option<NaiveDate>,
    },
    /// So many calendar months. The last one is the month of the last day, or of today, and ends with that day.
    Months {
        /// How many.
        count: u16,
        /// The last day.
        to: Option<NaiveDate>,
    },
}

impl PartDays {
    /// The first and the last day that are meant, `today` being the local date of now. Errors: 422 for a range that is
    /// reversed or too long.
    pub fn resolve(self, today: NaiveDate) -> Result<(NaiveDate, NaiveDate), Problem> {
        let days = match self {
            Self::Between { from, to } => {
                let to = to.unwrap_or(today);
                (from.or_else(|| to.checked_sub_days(Days::new(DAYS_BY_DEFAULT - 1))), to)
            }
            Self::One(day) => (Some(day.unwrap_or(today)), day.unwrap_or(today)),
            Self::Last(count) => (today.checked_sub_days(Days::new(u64::from(count).saturating_sub(1))), today),
            Self::Weeks { count, start, to } => {
                let to = to.unwrap_or(today);
                let before = Days::new(7 * u64::from(count).saturating_sub(1));
                (to.week(start).first_day().checked_sub_days(before), to)
            }
            Self::Months { count, to } => {
                let (to, before) = (to.unwrap_or(today), Months::new(u32::from(count).saturating_sub(1)));
                (first_of_month(to).checked_sub_months(before), to)
            }
        };
        let (Some(from), to) = days else { return Err(Problem::internal("no day is before the first of all")) };
        range_violation(from, to).map_or(Ok((from, to)), |violation| Err(Problem::invalid(vec![violation])))
    }

    /// The parameter that says how far back these days reach.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Between { .. } | Self::Last(_) => "from",
            Self::One(_) => "day",
            Self::Weeks { .. } => "weeks",
            Self::Months { .. } => "months",
        }
    }
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

fn range_violation(from: NaiveDate, to: NaiveDate) -> Option<Violation> {
    let days = to.signed_duration_since(from).num_days() + 1;
    if days < 1 {
        let detail = format!("from ({from}) must not be after to ({to}).");
        return Some(Violation::new("?from", "range_is_reversed", detail));
    }
    (days > MOST_DAYS).then(|| {
        let detail = format!("{days} days are asked for, and at most {MOST_DAYS} are served: ask for fewer.");
        Violation::new("?from", "range_too_long", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn resolved(days: PartDays, today: &str) -> String {
        let (from, to) = days.resolve(day(today)).unwrap();
        format!("{from} {to}")
    }

    #[test]
    fn a_range_that_is_not_given_whole_has_thirty_days_or_ends_today() {
        let between = |from: Option<&str>, to: Option<&str>| {
            resolved(PartDays::Between { from: from.map(day), to: to.map(day) }, "2026-11-20")
        };
        assert_eq!(between(None, None), "2026-10-22 2026-11-20");
        assert_eq!(between(Some("2026-11-01"), None), "2026-11-01 2026-11-20");
        assert_eq!(between(None, Some("2026-03-01")), "2026-01-31 2026-03-01");
        assert_eq!(between(Some("2026-11-20"), Some("2026-11-20")), "2026-11-20 2026-11-20");
        assert_eq!(resolved(PartDays::Last(7), "2026-11-20"), "2026-11-14 2026-11-20");
        assert_eq!(resolved(PartDays::One(None), "2026-11-20"), "2026-11-20 2026-11-20");
    }

    #[test]
    fn weeks_begin_on_their_day_and_the_last_one_ends_with_the_last_day() {
        let weeks = |count, start, to| resolved(PartDays::Weeks { count, start, to: Some(day(to)) }, "2026-01-01");
        // The twenty-eighth of November 2026 is a Saturday.
        assert_eq!(weeks(52, Weekday::Sun, "2026-11-28"), "2025-11-30 2026-11-28");
        assert_eq!(weeks(1, Weekday::Sun, "2026-11-29"), "2026-11-29 2026-11-29");
        assert_eq!(weeks(2, Weekday::Mon, "2026-11-29"), "2026-11-16 2026-11-29");
        assert_eq!(weeks(104, Weekday::Mon, "2026-11-23"), "2024-12-02 2026-11-23");
    }

    #[test]
    fn months_are_counted_over_years_and_from_the_last_of_any_month() {
        let months = |count, to| resolved(PartDays::Months { count, to: Some(day(to)) }, "2026-01-01");
        assert_eq!(months(24, "2026-11-28"), "2024-12-01 2026-11-28");
        assert_eq!(months(1, "2026-02-28"), "2026-02-01 2026-02-28");
        assert_eq!(months(2, "2026-03-31"), "2026-02-01 2026-03-31");
    }

    #[test]
    fn what_is_reversed_or_too_long_is_refused_with_a_reason() {
        let code = |from: &str, to: &str| {
            let days = PartDays::Between { from: Some(day(from)), to: Some(day(to)) };
            days.resolve(day("2026-11-20")).map_err(|problem| problem.violations()[0].code)
        };
        assert_eq!(code("2026-11-02", "2026-11-01"), Err("range_is_reversed"));
        assert!(code("2024-01-01", "2026-03-10").is_ok(), "800 days");
        assert_eq!(code("2024-01-01", "2026-03-11"), Err("range_too_long"));
        let open = PartDays::Between { from: Some(day("2026-11-21")), to: None };
        assert_eq!(open.resolve(day("2026-11-20")).unwrap_err().violations()[0].code, "range_is_reversed");
    }
}
