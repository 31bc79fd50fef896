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
    /// Over which days the hours of the week are summed, if they are.
    pub hours_of_week: Option<PartDays>,
    /// Which page of a receipt is wanted, if one is.
    pub receipt: Option<ReceiptPart>,
}

/// A page of the receipt of some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptPart {
    /// Which days.
    pub days: PartDays,
    /// Which page, from 1 on.
    pub page: u16,
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
    /// Whether it is wanted what each of them cost.
    pub with_cost: bool,
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
    /// At most so many half hours or hours. A longer range is summed by the next wider of hours and days.
    pub most_of_clock: Option<u16>,
}

impl SumsPart {
    /// The sums of each interval that has usage, as a whole.
    pub const fn whole(days: PartDays, width: SumWidth) -> Self {
        let apart = SummedApart::NOTHING;
        Self { days, is_before: false, width, apart, of_ranking: None, fills: false, most_of_clock: None }
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

    /// By the next wider of hours and days where there were more half hours or hours than so many.
    #[must_use]
    pub const fn with_at_most(self, most: u16) -> Self {
        Self { most_of_clock: Some(most), ..self }
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

impl SumWidth {
    /// The narrowest width from this one on of which so many days have at most `most` intervals. Days and what is wider
    /// are not counted. A day has 48 half hours and 24 hours; the two more of a day on which clocks change do not count.
    #[must_use]
    pub fn fitting(self, days: i64, most: u16) -> Self {
        let most = i64::from(most);
        match self {
            Self::HalfHour if days <= most / 48 => Self::HalfHour,
            Self::HalfHour | Self::Hour if days <= most / 24 => Self::Hour,
            Self::HalfHour | Self::Hour => Self::Day,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_is_too_long_for_a_width_has_the_next_wider_one() {
        let fitting = |width: SumWidth, days| width.fitting(days, 336);
        for (days, by_half_hour, by_hour) in [
            (1, SumWidth::HalfHour, SumWidth::Hour),
            (7, SumWidth::HalfHour, SumWidth::Hour),
            (8, SumWidth::Hour, SumWidth::Hour),
            (14, SumWidth::Hour, SumWidth::Hour),
            (15, SumWidth::Day, SumWidth::Day),
            (800, SumWidth::Day, SumWidth::Day),
        ] {
            assert_eq!((fitting(SumWidth::HalfHour, days), fitting(SumWidth::Hour, days)), (by_half_hour, by_hour));
        }
        for wide in [SumWidth::Day, SumWidth::Week(Weekday::Mon), SumWidth::Month] {
            assert_eq!(fitting(wide, 800), wide);
        }
        assert_eq!(SumWidth::HalfHour.fitting(i64::MAX, u16::MAX), SumWidth::Day);
    }
}
