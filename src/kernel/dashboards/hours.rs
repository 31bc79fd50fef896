//! The hours of the week, as punch cards show them.

use chrono::{DateTime, NaiveDate, Utc};

/// Tokens by day of the week, from Monday on, and by hour of the clock.
pub type WeekGrid = [[u128; 24]; 7];

/// What was used in each hour of the week. An hour that comes twice on one day counts twice, and one that is skipped not at
/// all.
#[derive(Clone, Copy, Debug)]
pub struct HoursOfWeek {
    /// The first local day that was asked for.
    pub from: NaiveDate,
    /// The last one, inclusive.
    pub to: NaiveDate,
    /// The tokens.
    pub tokens: WeekGrid,
    /// Where it begins later than its first day, and why.
    pub begins_later: Option<LaterBegin>,
}

/// Why hours of the week begin later than was asked for, and when they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaterBegin {
    /// There are more buckets than are read for it. The newest are, from this half hour on.
    TooMany(DateTime<Utc>),
    /// Buckets before this instant are past retention.
    Removed(DateTime<Utc>),
}
