//! The words of a merge: which device goes into which, how their buckets stand to each other, and
//! what a bucket is to say that both have with other counts.

use std::cmp::Ordering;

use uuid::Uuid;

use crate::kernel::usage::writer::CarriedKept;
use crate::kernel::usage::writer::corrections::Correction;

/// What a bucket is to say that both devices have with other counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolve {
    /// What both say, added up: they have counted different usage.
    Sum,
    /// What the one with the larger total says; the into-device where the totals are equal.
    Larger,
    /// What the from-device says.
    From,
    /// What the into-device says.
    Into,
}

impl Resolve {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sum, Self::Larger, Self::From, Self::Into];

    /// As stored and in bodies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Larger => "larger",
            Self::From => "from",
            Self::Into => "into",
        }
    }

    /// The inverse of [`Resolve::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resolve| resolve.as_str() == text)
    }
}

/// How a bucket of the from-device stands to the into-device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// The into-device has none.
    OnlyInFrom,
    /// The into-device has one with the same counts.
    Equal,
    /// The into-device has one with other counts.
    Different,
}

impl Pairing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OnlyInFrom, Self::Equal, Self::Different];

    /// As stored and in replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnlyInFrom => "only_in_from",
            Self::Equal => "equal",
            Self::Different => "different",
        }
    }

    /// The inverse of [`Pairing::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pairing| pairing.as_str() == text)
    }
}

/// What is to be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeOrder {
    /// The device whose buckets are moved.
    pub from_device_id: Uuid,
    /// The device that gets them.
    pub into_device_id: Uuid,
    /// What decides where they differ; `None` while nobody has decided.
    pub resolve: Option<Resolve>,
}

/// A merge, as its plan has found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// What is merged.
    pub order: MergeOrder,
    /// Buckets that the from-device alone has.
    pub only_in_from: i64,
    /// Buckets that the into-device alone has.
    pub only_in_into: i64,
    /// Buckets that both have with the same counts.
    pub equal: i64,
    /// Buckets that both have with other counts.
    pub different: i64,
    /// What the execution has carried over besides buckets.
    pub carried: Option<CarriedKept>,
}

/// A row of a plan, as it is shown.
#[derive(Clone, Debug)]
pub struct PlanRow {
    /// What the bucket is to say, and what it says.
    pub row: Correction,
    /// For merges.
    pub pairing: Option<Pairing>,
    /// Whether the bucket goes instead.
    pub removes: bool,
}

impl PlanRow {
    /// What it does to the bucket, in a word.
    pub fn effect(&self) -> &'static str {
        let after = self.row.counts;
        match self.row.seen.map(|seen| seen.counts) {
            _ if self.removes => "removed",
            None => "inserted",
            Some(before) if before == after => "unchanged",
            Some(before) => match after.total().cmp(&before.total()) {
                Ordering::Greater => "raised",
                Ordering::Less => "lowered",
                Ordering::Equal => "changed",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_are_not() {
        assert!(Resolve::ALL.iter().all(|resolve| Resolve::parse(resolve.as_str()) == Some(*resolve)));
        assert!(Pairing::ALL.iter().all(|pairing| Pairing::parse(pairing.as_str()) == Some(*pairing)));
        assert_eq!((Resolve::parse("Sum"), Pairing::parse("")), (None, None));
    }
}
