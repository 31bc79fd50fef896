//! What became of one bucket of a post: as replies spell it, and as stored answers keep it.

use serde::Serialize;
use utoipa::ToSchema;

/// What became of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first version of this bucket.
    Inserted,
    /// It replaced an older version with other counts.
    Updated,
    /// The same counts stand.
    Unchanged,
    /// A newer version stands.
    Stale,
    /// Another entry of the same commit won, with other counts.
    Superseded,
    /// Unstamped, against an operator's standing correction.
    Corrected,
    /// Taken at or before its owner erased it.
    Erased,
    /// Older than what retention keeps for this user.
    BeforeRetentionHorizon,
    /// Not acceptable, and not written. The intake says so; no statement does.
    Rejected,
    /// Newer than what stands, but late and silent: what was reported in time is kept.
    Kept,
}

impl Verdict {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Inserted,
        Self::Updated,
        Self::Unchanged,
        Self::Stale,
        Self::Superseded,
        Self::Corrected,
        Self::Erased,
        Self::BeforeRetentionHorizon,
        Self::Rejected,
        Self::Kept,
    ];

    /// As replies spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Corrected => "corrected",
            Self::Erased => "erased",
            Self::BeforeRetentionHorizon => "before_retention_horizon",
            Self::Rejected => "rejected",
            Self::Kept => "kept",
        }
    }

    /// As it is recorded: a verdict keeps its place, and a new one comes last.
    pub(super) const fn byte(self) -> u8 {
        self as u8
    }

    /// `None` for a byte that this release does not record.
    pub(super) fn recorded(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_recorded_by_its_place_which_no_release_changes() {
        let recorded: Vec<_> =
            (0..).map_while(Verdict::recorded).map(|verdict| (verdict.byte(), verdict.as_str())).collect();
        let expected = [
            (0, "inserted"),
            (1, "updated"),
            (2, "unchanged"),
            (3, "stale"),
            (4, "superseded"),
            (5, "corrected"),
            (6, "erased"),
            (7, "before_retention_horizon"),
            (8, "rejected"),
            (9, "kept"),
        ];
        assert_eq!(recorded, expected);
    }

    #[test]
    fn a_verdict_serialises_as_it_is_spelled() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
    }
}
