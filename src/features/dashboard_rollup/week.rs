//! On which day weeks begin, for every read that shows weeks.

use chrono::{NaiveDate, NaiveWeek, Weekday};

use crate::kernel::http::field_reader::{Broken, FieldReader};

/// The parameter that says it.
pub const WEEK_START: &str = "week_start";

/// The day on which weeks begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeekStart {
    /// As in ISO 8601.
    #[default]
    Monday,
    /// As in the United States, among others.
    Sunday,
}

impl WeekStart {
    /// Reads the parameter; `None` where it is absent or wrong, which is noted.
    pub fn read(fields: &mut FieldReader) -> Option<Self> {
        fields.optional_text(WEEK_START, |text| match text {
            "monday" => Ok(Self::Monday),
            "sunday" => Ok(Self::Sunday),
            _ => Err::<_, Broken>(("unknown_week_start", "Expected monday or sunday.".into())),
        })
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "monday",
            Self::Sunday => "sunday",
        }
    }

    /// How many days before Monday weeks begin, which is how SQL is told.
    pub const fn days_before_monday(self) -> i32 {
        match self {
            Self::Monday => 0,
            Self::Sunday => 1,
        }
    }

    /// The week of a day.
    pub fn week_of(self, day: NaiveDate) -> NaiveWeek {
        day.week(match self {
            Self::Monday => Weekday::Mon,
            Self::Sunday => Weekday::Sun,
        })
    }
}
