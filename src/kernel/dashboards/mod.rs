//! What dashboards ask, ours and those of other products, as far as they ask alike: days of a zone, filters, sums, and
//! which tools, models and devices have most.
//!
//! A slice that speaks such a dashboard's protocol reads the query into a [`SumsQuestion`] and asks [`UsageSums`], which
//! the composition root hands it. Then it writes the sums in the words of its protocol. Everything that is
//! answered to one request was read in one snapshot.
//!
//! A parameter without a value is as if it were not there, because these dashboards leave out what they have no value for.
//! A parameter that is not known is refused, for a filter that nobody applies would make the sums wrong.

mod contract;
mod days;
mod door;
mod grid;
mod hours;
mod parameters;
mod priced;
mod question;
mod reply;
mod sums;
mod zones;

pub use contract::{
    DayParameter, DevicesParameter, MonthsOrDaysParameters, MonthsParameters, RangeParameters, RollingParameter,
    WeeksParameters, ZoneAndFilters, also_named, saying_freshness,
};
pub use days::PartDays;
pub use door::UsageSums;
pub use grid::{days_in_a_row, in_weeks};
pub use hours::{HoursOfWeek, LaterBegin, WeekGrid};
pub use parameters::{
    MOST_MONTHS, MOST_WEEKS, WEEKS_BY_DEFAULT, asked_between, asked_day, asked_last_day, asked_number,
    asked_week_start, read_question,
};
pub use priced::{PricedBook, PricedLine, ReceiptSums};
pub use question::{
    Dimension, NamedZone, Ranking, ReceiptPart, SumWidth, SummedApart, SumsFilters, SumsPart, SumsQuestion,
};
pub use reply::dashboard_reply;
pub use sums::{AnsweredSums, Freshness, PartSums, RankedGroup, RankedSums, SumsGroup, SumsInterval, ToolSums};
