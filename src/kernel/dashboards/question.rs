//! What is asked: sums of some days, in the zone of a place, of some buckets.

use chrono::Weekday;
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
    /// What is ranked.
    pub rankings: Vec<Ranking>,
}

/// By what usage is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// By tool.
    Tool,
    /// By model.
    Model,
    /// By device.
    Device,
}

/// The tools, models or devices with most tokens on some days, each beside the equally long range before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranking {
    /// Which days.
    pub days: PartDays,
    /// What is ranked.
    pub dimension: Dimension,
    /// At most so many.
    pub most: u16,
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

/// What is summed apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummedApart {
    /// Each tool.
    pub by_source: bool,
    /// Each model.
    pub by_model: bool,
    /// Each device.
    pub by_device: bool,
}

impl SummedApart {
    /// Nothing.
    const NOTHING: Self = Self { by_source: false, by_model: false, by_device: false };
    /// Each model.
    const MODELS: Self = Self { by_model: true, ..Self::NOTHING };
}

/// Sums of some days, by interval and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SumsPart {
    /// Which days.
    pub days: PartDays,
    /// Whether the equally long range before those is meant.
    pub is_before: bool,
    /// How long an interval is.
    pub width: SumWidth,
    /// What is summed apart.
    pub apart: SummedApart,
    /// Count only what this ranking of the question lists.
    pub of_ranking: Option<usize>,
    /// Whether intervals without usage are there too. Only where nothing is summed apart.
    pub fills: bool,
}

impl SumsPart {
    /// The sums of each interval that has usage, as a whole.
    pub const fn whole(days: PartDays, width: SumWidth) -> Self {
        Self { days, is_before: false, width, apart: SummedApart::NOTHING, of_ranking: None, fills: false }
    }

    /// Of the equally long range before.
    #[must_use]
    pub const fn before(self) -> Self {
        Self { is_before: true, ..self }
    }

    /// With each of what a ranking of the question lists apart, and nothing else.
    #[must_use]
    pub const fn apart(self, ranking: usize, dimension: Dimension) -> Self {
        let apart = match dimension {
            Dimension::Tool => SummedApart { by_source: true, ..SummedApart::NOTHING },
            Dimension::Model => SummedApart::MODELS,
            Dimension::Device => SummedApart { by_device: true, ..SummedApart::NOTHING },
        };
        Self { apart, of_ranking: Some(ranking), ..self }
    }

    /// With the intervals that have no usage.
    #[must_use]
    pub const fn filled(self) -> Self {
        Self { fills: true, ..self }
    }

    /// With each model apart.
    #[must_use]
    pub const fn by_model(self) -> Self {
        Self { apart: SummedApart::MODELS, ..self }
    }

    /// With each tool and each of its models apart.
    #[must_use]
    pub const fn by_source_and_model(self) -> Self {
        Self { apart: SummedApart { by_source: true, ..SummedApart::MODELS }, ..self }
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
    /// A week that begins on this day: Monday or Sunday.
    Week(Weekday),
    /// A calendar month.
    Month,
}
