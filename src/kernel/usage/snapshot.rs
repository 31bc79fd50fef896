//! A snapshot of one bucket, and the order of all snapshots of a bucket: the greatest stands.
//!
//! Coding tools delete their own logs. A tracker that scans them again afterwards sees less than
//! was used, and sees it later. So a snapshot that is late and silent replaces nothing that was
//! reported in time, and among its like the larger total stands.

use chrono::{DateTime, TimeDelta, Utc};

use crate::kernel::bucket::{HALF_HOUR_S, HalfHour, Model, Source, TokenCounts};

/// A snapshot is late when it was taken longer than this after the end of its half hour: the
/// shortest time after which a tool is known to delete its logs is 30 days. `usage.rank_of` has the
/// same bound.
const LATE_AFTER: TimeDelta = TimeDelta::days(25);

/// What is compared first: a snapshot of a higher rank stands before every one of a lower rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Late, and nobody says that the total may fall: the greatest total stands.
    LateAndSilent,
    /// Taken while the tool still had its logs: the latest stands.
    OnTime,
    /// Late, and it may take usage back: the latest stands.
    LateAndRetracting,
    /// The last word on a bucket, on time or late. It is compared as what is late and retracts.
    Settled,
}

/// What a sender says of a snapshot beside its counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmness {
    /// Nothing.
    #[default]
    Ordinary,
    /// The total may be smaller than what was sent before, and is meant to be.
    Retracts,
    /// What is said of this bucket without this word is provisional, whenever it is said.
    Settles,
}

impl Rank {
    /// The rank of a snapshot. It `retracts` where its sender knows that the total may be smaller
    /// than what was sent before.
    pub fn of(hour_start: HalfHour, observed_at: DateTime<Utc>, retracts: bool) -> Self {
        let end = hour_start.start() + TimeDelta::seconds(HALF_HOUR_S);
        match observed_at - end > LATE_AFTER {
            false => Self::OnTime,
            true if retracts => Self::LateAndRetracting,
            true => Self::LateAndSilent,
        }
    }

    /// The rank of a snapshot that says this of itself.
    pub fn with(hour_start: HalfHour, observed_at: DateTime<Utc>, firmness: Firmness) -> Self {
        match firmness {
            Firmness::Settles => Self::Settled,
            Firmness::Ordinary | Firmness::Retracts => {
                Self::of(hour_start, observed_at, firmness == Firmness::Retracts)
            }
        }
    }

    /// As it is stored. `usage.rank_of` and the statements compare 3 as 2.
    pub const fn number(self) -> i16 {
        match self {
            Self::LateAndSilent => 0,
            Self::OnTime => 1,
            Self::LateAndRetracting => 2,
            Self::Settled => 3,
        }
    }

    /// As it is compared.
    const fn compared(self) -> Self {
        match self {
            Self::LateAndSilent => Self::LateAndSilent,
            Self::OnTime => Self::OnTime,
            Self::LateAndRetracting | Self::Settled => Self::LateAndRetracting,
        }
    }
}

/// When a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The instant, to the microsecond.
    pub observed_at: DateTime<Utc>,
    /// True where the tracker said so, false where the server took the arrival time.
    pub stamped: bool,
    /// Computed once, where the post is read.
    pub rank: Rank,
}

/// One snapshot as a tracker reports it. Whose it is, the writer takes from the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The half hour.
    pub hour_start: HalfHour,
    /// The tool.
    pub source: Source,
    /// The model.
    pub model: Model,
    /// What was used.
    pub counts: TokenCounts,
    /// When it was observed.
    pub stamp: Stamp,
}

/// A snapshot's place in the order: its rank, what decides within the rank, its counts, and last
/// what decides between equal counts.
pub type SnapshotPlace = (Rank, i64, TokenCounts, i64);

impl Bucket {
    /// Of two snapshots of one bucket the one with the greater place stands. The statements of the
    /// writer have the same order.
    pub const fn place(&self) -> SnapshotPlace {
        let Stamp { observed_at, rank, .. } = self.stamp;
        match rank.compared() {
            Rank::LateAndSilent => {
                (Rank::LateAndSilent, self.counts.total(), self.counts, observed_at.timestamp_micros())
            }
            rank => (rank, observed_at.timestamp_micros(), self.counts, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: &str = "2026-10-26T10:30:00Z";
    /// The last instant that is on time: 600 hours after eleven.
    const LAST: &str = "2026-11-20T11:00:00Z";

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn snapshot(input_tokens: i64, output_tokens: i64, observed_at: DateTime<Utc>, retracts: bool) -> Bucket {
        let firmness = if retracts { Firmness::Retracts } else { Firmness::Ordinary };
        said(input_tokens, output_tokens, observed_at, firmness)
    }

    fn said(input_tokens: i64, output_tokens: i64, observed_at: DateTime<Utc>, firmness: Firmness) -> Bucket {
        let hour_start = HalfHour::new(instant(HOUR)).unwrap();
        Bucket {
            hour_start,
            source: Source::parse("codex").unwrap(),
            model: Model::parse("m").unwrap(),
            counts: TokenCounts { input_tokens, output_tokens, ..TokenCounts::default() },
            stamp: Stamp { observed_at, stamped: true, rank: Rank::with(hour_start, observed_at, firmness) },
        }
    }

    #[test]
    fn what_settles_outweighs_all_that_is_on_time_and_is_compared_with_what_is_late_and_retracts() {
        let (early, last, late, later) =
            (instant(HOUR), instant(LAST), instant("2026-11-25T00:00:00Z"), instant("2026-11-26T00:00:00Z"));
        let ascending = [
            snapshot(0, 9, late, false),
            snapshot(9, 9, last, true),
            said(0, 0, early, Firmness::Settles),
            said(0, 1, early, Firmness::Settles),
            said(0, 0, last, Firmness::Settles),
            snapshot(7, 7, late, true),
            said(0, 0, later, Firmness::Settles),
        ];
        let places: Vec<_> = ascending.iter().map(Bucket::place).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:#?}");
        assert_eq!(ascending[2].stamp.rank.number(), 3);
        assert_eq!(said(1, 2, late, Firmness::Settles).place(), snapshot(1, 2, late, true).place());
    }

    #[test]
    fn a_snapshot_is_late_from_a_microsecond_after_six_hundred_hours_on() {
        let (last, microsecond) = (instant(LAST), TimeDelta::microseconds(1));
        for (observed_at, retracts, rank) in [
            (last, false, Rank::OnTime),
            (last, true, Rank::OnTime),
            (last + microsecond, false, Rank::LateAndSilent),
            (last + microsecond, true, Rank::LateAndRetracting),
            (instant("0000-01-01T00:00:00Z"), true, Rank::OnTime),
            (instant("9999-12-31T23:59:59Z"), false, Rank::LateAndSilent),
        ] {
            assert_eq!(snapshot(1, 0, observed_at, retracts).stamp.rank, rank, "{observed_at} {retracts}");
        }
        let ranks = [Rank::LateAndSilent, Rank::OnTime, Rank::LateAndRetracting];
        assert!(ranks.is_sorted() && ranks.map(Rank::number) == [0, 1, 2]);
    }

    #[test]
    fn each_rank_has_its_own_order() {
        let (early, last, late, later) =
            (instant(HOUR), instant(LAST), instant("2026-11-25T00:00:00Z"), instant("2026-11-26T00:00:00Z"));
        let ascending = [
            snapshot(0, 5, late, false),
            snapshot(1, 4, late, false),
            snapshot(1, 4, later, false),
            snapshot(0, 9, late, false),
            snapshot(9, 9, early, false),
            snapshot(0, 9, last, true),
            snapshot(1, 0, last, false),
            snapshot(7, 7, late, true),
            snapshot(0, 1, later, true),
            snapshot(1, 0, later, true),
        ];
        let places: Vec<_> = ascending.iter().map(Bucket::place).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:#?}");
    }
}
