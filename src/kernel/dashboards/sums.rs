//! What is answered: sums by interval and group, and how fresh they are.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use uuid::Uuid;

use super::hours::HoursOfWeek;
use super::priced::{PricedBook, ReceiptSums};
use super::question::SumWidth;
use crate::kernel::bucket::PerCounter;
use crate::kernel::money::Cost;
use crate::kernel::problem::Problem;

/// The answer to a question.
#[derive(Clone, Debug)]
pub struct AnsweredSums {
    /// The local date of now.
    pub today: NaiveDate,
    /// How fresh the sums are.
    pub freshness: Freshness,
    /// The zone whose days these are.
    pub zone: String,
    /// The sums of each part, in the question's order.
    pub parts: Vec<PartSums>,
    /// What each ranking found, in the question's order.
    pub rankings: Vec<RankedSums>,
    /// The price book that every cost is in. Without one no cost means anything.
    pub prices: Option<PricedBook>,
    /// The hours of the week, where they were asked for.
    pub hours_of_week: Option<HoursOfWeek>,
    /// The receipt, where it was asked for.
    pub receipt: Option<ReceiptSums>,
}

impl AnsweredSums {
    /// The sums of as many parts as were asked for. Errors: 500 for another number.
    pub(super) fn into_parts<const N: usize>(self) -> Result<[PartSums; N], Problem> {
        let parts = <[PartSums; N]>::try_from(self.parts);
        parts.map_err(|parts| Problem::internal(format!("{} parts were answered and not {N}", parts.len())))
    }
}

/// What a ranking found.
#[derive(Clone, Debug, Default)]
pub struct RankedSums {
    /// How many there are in all.
    pub count: u64,
    /// The tokens of all of them, and of the range before.
    pub tokens: (u128, u128),
    /// Those with most tokens, the most first.
    pub groups: Vec<RankedGroup>,
}

/// A tool, a model or a device of a ranking.
#[derive(Clone, Debug)]
pub struct RankedGroup {
    /// Its name, of a device its id.
    pub name: String,
    /// Its tokens, and those of the range before.
    pub tokens: (u128, u128),
    /// What its tokens cost, where that was asked for and there is a book.
    pub cost: Cost,
}

/// How fresh sums are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Everything acknowledged before this instant is in the sums.
    pub as_of: DateTime<Utc>,
    /// Whether newer changes wait to be folded.
    pub pending: bool,
    /// Rises when the user's rollup changes.
    pub version: i64,
}

/// The sums of a part.
#[derive(Clone, Debug)]
pub struct PartSums {
    /// The first local day.
    pub from: NaiveDate,
    /// The last local day, inclusive.
    pub to: NaiveDate,
    /// How long an interval is: as was asked for, or wider.
    pub width: SumWidth,
    /// The intervals, ascending.
    pub intervals: Vec<SumsInterval>,
}

impl PartSums {
    /// How many days it has.
    pub fn days(&self) -> i64 {
        self.to.signed_duration_since(self.from).num_days() + 1
    }

    /// The sums of all intervals.
    pub fn totals(&self) -> PerCounter<u128> {
        added(self.intervals.iter().map(SumsInterval::totals))
    }

    /// What all intervals cost.
    pub fn cost(&self) -> Cost {
        self.intervals.iter().map(SumsInterval::cost).sum()
    }

    /// The sums of each tool in all intervals, in byte order.
    pub fn by_tool(self) -> Vec<ToolSums> {
        let mut tools: BTreeMap<String, BTreeMap<String, PerCounter<u128>>> = BTreeMap::new();
        for SumsGroup { source, model, sums, .. } in self.intervals.into_iter().flat_map(|interval| interval.groups) {
            let known = tools.entry(source).or_default().entry(model).or_default();
            *known = *known + sums;
        }
        let tools = tools.into_iter().map(|(source, models)| {
            let mut models: Vec<_> = models.into_iter().collect();
            // This keeps the order of those that are equal.
            models.sort_by_key(|(_, sums)| Reverse(sums.total_sum()));
            ToolSums { source, sums: added(models.iter().map(|(_, sums)| *sums)), models }
        });
        tools.collect()
    }
}

/// The sums of one tool.
#[derive(Clone, Debug)]
pub struct ToolSums {
    /// The tool.
    pub source: String,
    /// Its sums.
    pub sums: PerCounter<u128>,
    /// The sums of its models, by name: the one with most tokens first, and in byte order where two have as many.
    pub models: Vec<(String, PerCounter<u128>)>,
}

/// One interval.
#[derive(Clone, Debug)]
pub struct SumsInterval {
    /// Its local start: of a day or a month, midnight of its first day.
    pub local_start: NaiveDateTime,
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
    /// The first instant after it.
    pub ends_at: DateTime<Utc>,
    /// The sums of each group; exactly one where neither tools nor models are summed apart.
    pub groups: Vec<SumsGroup>,
}

impl SumsInterval {
    /// The sums of all groups.
    pub fn totals(&self) -> PerCounter<u128> {
        added(self.groups.iter().map(|group| group.sums))
    }

    /// What all groups cost.
    pub fn cost(&self) -> Cost {
        self.groups.iter().map(|group| group.cost).sum()
    }
}

/// The sums of one group.
#[derive(Clone, Debug)]
pub struct SumsGroup {
    /// The tool; empty where tools are not summed apart.
    pub source: String,
    /// The model; empty where models are not summed apart.
    pub model: String,
    /// The device; nil where devices are not summed apart.
    pub device_id: Uuid,
    /// Its sums.
    pub sums: PerCounter<u128>,
    /// What its tokens cost. Without a book none has a price.
    pub cost: Cost,
}

fn added(sums: impl Iterator<Item = PerCounter<u128>>) -> PerCounter<u128> {
    sums.fold(PerCounter::default(), |all, more| all + more)
}
