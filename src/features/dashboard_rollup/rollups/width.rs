//! How long an interval is, and everything that depends on it.
//!
//! There are two kinds. Intervals of the *clock* (half hours and hours) are summed from buckets and known by their first
//! half hour in UTC, because their local time may come twice. Intervals of the *calendar* (days, weeks and months) are
//! sets of local days and known by their first day. Each width says in [`Width::facts`] what it has of its own, and the
//! rest of the code only asks for the kind.

use crate::features::dashboard_rollup::range::{Cap, CapUnit};
use crate::features::dashboard_rollup::week::{WEEK_START, WeekStart};
use crate::kernel::http::field_reader::{Broken, FieldReader};

/// How long an interval is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Width {
    /// 30 minutes.
    HalfHour,
    /// A local hour: 60 minutes, or fewer where clocks change within it.
    Hour,
    /// A local day.
    #[default]
    Day,
    /// Seven local days from this day of the week on.
    Week(WeekStart),
    /// A calendar month of local days.
    Month,
}

/// What a width has of its own.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// What callers and SQL call it.
    name: &'static str,
    /// What it is made of.
    kind: Kind,
    /// How its local start is written, as ISO 8601 names such an interval.
    label: &'static str,
    /// The longest range.
    cap: Cap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Clock,
    Calendar,
}

const BUCKETS: Cap = Cap {
    most: 31,
    unit: CapUnit::Days,
    of: "width=half_hour",
    instead: ", or for width=day, which reads the rollup and not every bucket",
};
const TO_THE_MINUTE: &str = "%Y-%m-%dT%H:%M";
const DATE: &str = "%Y-%m-%d";

impl Width {
    /// All of them, with weeks from Monday on.
    pub const ALL: [Self; 5] = [Self::HalfHour, Self::Hour, Self::Day, Self::Week(WeekStart::Monday), Self::Month];

    const fn facts(self) -> Facts {
        match self {
            Self::HalfHour => Facts { name: "half_hour", kind: Kind::Clock, label: TO_THE_MINUTE, cap: BUCKETS },
            Self::Hour => {
                let cap = Cap { of: "width=hour", ..BUCKETS };
                Facts { name: "hour", kind: Kind::Clock, label: TO_THE_MINUTE, cap }
            }
            Self::Day => {
                let cap = Cap { most: 800, unit: CapUnit::Days, of: "width=day", instead: ", or for width=month" };
                Facts { name: "day", kind: Kind::Calendar, label: DATE, cap }
            }
            Self::Week(start) => {
                let unit = CapUnit::Weeks(start);
                let cap = Cap { most: 520, unit, of: "width=week", instead: ", or for width=month" };
                // ISO 8601 has a name for weeks that begin on Monday only.
                let label = if matches!(start, WeekStart::Monday) { "%G-W%V" } else { DATE };
                Facts { name: "week", kind: Kind::Calendar, label, cap }
            }
            Self::Month => {
                let cap = Cap { most: 120, unit: CapUnit::Months, of: "width=month", instead: "" };
                Facts { name: "month", kind: Kind::Calendar, label: "%Y-%m", cap }
            }
        }
    }

    /// Its name, which is also what SQL calls it.
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Whether intervals are of the clock, so that only buckets know them.
    pub(super) fn is_of_clock(self) -> bool {
        self.facts().kind == Kind::Clock
    }

    /// How the local start of an interval is written to name it.
    pub(super) const fn label(self) -> &'static str {
        self.facts().label
    }

    /// The longest range.
    pub(super) const fn cap(self) -> Cap {
        self.facts().cap
    }

    /// The day on which its weeks begin.
    pub(super) const fn week_start(self) -> Option<WeekStart> {
        if let Self::Week(start) = self { Some(start) } else { None }
    }

    /// How many days before Monday its weeks begin; 0 where it has none.
    pub(super) fn days_before_monday(self) -> i32 {
        self.week_start().unwrap_or_default().days_before_monday()
    }

    /// Reads the parameters `width` and `week_start`.
    pub(super) fn read(fields: &mut FieldReader) -> Self {
        let is_named = fields.get("width").is_some();
        let width = fields.optional_text("width", Self::parse);
        match (width, WeekStart::read(fields)) {
            (Some(Self::Week(_)), Some(start)) => return Self::Week(start),
            // Nobody knows whether a width that is none has weeks.
            (None, Some(_)) if is_named => {}
            (_, Some(_)) => {
                let detail = "Only weeks begin on a day of the week: ask for width=week, or leave this out.";
                fields.refuse(WEEK_START, ("week_start_needs_weeks", detail.into()));
            }
            (_, None) => {}
        }
        width.unwrap_or_default()
    }

    fn parse(text: &str) -> Result<Self, Broken> {
        let width = Self::ALL.into_iter().find(|width| width.as_str() == text);
        width.ok_or(("unknown_width", "Expected half_hour, hour, day, week or month.".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Width, Vec<(String, &'static str)>> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut fields = FieldReader::of_query(&parameters, &["width", WEEK_START], &[]);
        let width = Width::read(&mut fields);
        let violations = fields.check(Some(width));
        violations.map_err(|all| all.into_iter().map(|violation| (violation.pointer, violation.code)).collect())
    }

    #[test]
    fn only_weeks_begin_on_a_day_of_the_week() {
        assert_eq!(read(""), Ok(Width::Day));
        assert_eq!(read("width=week"), Ok(Width::Week(WeekStart::Monday)));
        assert_eq!(read("week_start=monday&width=week"), Ok(Width::Week(WeekStart::Monday)));
        assert_eq!(read("width=week&week_start=sunday"), Ok(Width::Week(WeekStart::Sunday)));
        let refused = |code| Err(vec![("?week_start".to_owned(), code)]);
        for width in ["", "&width=half_hour", "&width=hour", "&width=day", "&width=month"] {
            assert_eq!(read(&format!("week_start=monday{width}")), refused("week_start_needs_weeks"), "{width}");
        }
        for start in ["", "Monday", "tuesday", "1", "mon"] {
            assert_eq!(read(&format!("width=week&week_start={start}")), refused("unknown_week_start"), "{start}");
        }
        assert_eq!(read("width=week&week_start=monday&week_start=monday"), refused("repeated_parameter"));
    }

    #[test]
    fn a_width_that_is_none_is_named_and_nothing_is_said_of_its_weeks() {
        for width in ["", "Week", "weeks", "year", "2h", "1", "half-hour", "%00"] {
            let unknown = Err(vec![("?width".to_owned(), "unknown_width")]);
            assert_eq!(read(&format!("width={width}")), unknown, "{width}");
            assert_eq!(read(&format!("width={width}&week_start=sunday")), unknown, "{width}");
        }
    }

    #[test]
    fn every_width_is_read_by_its_name_and_says_what_serves_how_much() {
        for width in Width::ALL {
            assert_eq!(read(&format!("width={}", width.as_str())), Ok(width));
            assert_eq!(width.cap().of, format!("width={}", width.as_str()));
        }
    }
}
