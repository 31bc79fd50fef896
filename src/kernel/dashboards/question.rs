//! What is asked: sums of some days, in the zone of a place, of some buckets.

use uuid::Uuid;

use super::days::PartDays;
use crate::kernel::bucket::{Model, Source};

/// A question about one user's usage. Its parts are answered from one snapshot.
#[derive(Clone, Debug)]
pub struct SumsQuestion {
    /// Whose days; the user's own zone where none is named.
    pub zone: Option<NamedZone>,
    /// The buckets that count.
    pub filters: SumsFilters,
    /// What is summed.
    pub parts: Vec<SumsPart>,
}

/// A zone, and the parameter that named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedZone {
    /// The IANA name.
    pub name: String,
    /// The parameter.
    pub parameter: &'static str,
}

/// The values that count; an empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SumsFilters {
    /// Tools.
    pub sources: Vec<Source>,
    /// Models.
    pub models: Vec<Model>,
    /// Devices.
    pub devices: Vec<Uuid>,
}

/// Sums of some days, by interval and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumsPart {
    /// Which days.
    pub days: PartDays,
    /// How long an interval is.
    pub width: SumWidth,
    /// Whether each tool is summed apart.
    pub by_source: bool,
    /// Whether each model is summed apart.
    pub by_model: bool,
    /// Whether intervals without usage are there too. Only where no tool and no model is summed apart.
    pub fills: bool,
}

impl SumsPart {
    /// The sums of each interval that has usage, as a whole.
    pub const fn whole(days: PartDays, width: SumWidth) -> Self {
        Self { days, width, by_source: false, by_model: false, fills: false }
    }

    /// With the intervals that have no usage.
    #[must_use]
    pub const fn filled(self) -> Self {
        Self { fills: true, ..self }
    }

    /// With each model apart.
    #[must_use]
    pub const fn by_model(self) -> Self {
        Self { by_model: true, ..self }
    }

    /// With each tool and each of its models apart.
    #[must_use]
    pub const fn by_source_and_model(self) -> Self {
        Self { by_source: true, by_model: true, ..self }
    }
}

/// How long an interval is, in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumWidth {
    /// Half an hour.
    HalfHour,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A calendar month.
    Month,
}
