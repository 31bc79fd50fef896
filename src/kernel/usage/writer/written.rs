//! What a request is answered, and why places of it are rejected.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::verdict::Verdict;

/// One thing wrong with one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rejection {
    /// The bucket's place in the request, from 0.
    #[schema(example = 3)]
    pub index: usize,
    /// RFC 6901 JSON pointer into the body.
    #[schema(example = "/buckets/3/hour_start")]
    pub pointer: String,
    /// A stable word for the rule that was broken.
    #[schema(example = "not_a_half_hour")]
    pub code: String,
    /// What was expected, in a sentence.
    pub detail: String,
}

/// The rejections of one request, in the order of its places; a place may have several.
pub type Rejections = Arc<[Rejection]>;

/// What a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kernel::usage) struct Written {
    /// The request that was executed: an earlier one where this is a replay.
    pub(in crate::kernel::usage) request_id: uuid::Uuid,
    /// One a place, in order.
    pub(in crate::kernel::usage) verdicts: Vec<Verdict>,
    /// Why places are [`Verdict::Rejected`].
    pub(in crate::kernel::usage) rejections: Rejections,
    /// True where the answer is of an earlier execution.
    pub(in crate::kernel::usage) replayed: bool,
}

/// The verdicts on what was written, with [`Verdict::Rejected`] at each place that a rejection
/// names.
pub(super) fn in_their_places(written: &[Verdict], rejections: &[Rejection]) -> Vec<Verdict> {
    let mut verdicts = Vec::with_capacity(written.len() + rejections.len());
    let mut written = written.iter().copied();
    for rejection in rejections {
        // The second reason for one place says nothing new.
        if let Some(before) = rejection.index.checked_sub(verdicts.len()) {
            verdicts.extend(written.by_ref().take(before));
            verdicts.push(Verdict::Rejected);
        }
    }
    verdicts.extend(written);
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejections(places: &[usize]) -> Vec<Rejection> {
        let rejection = |&index| Rejection { index, pointer: String::new(), code: "x".into(), detail: String::new() };
        places.iter().map(rejection).collect()
    }

    #[test]
    fn each_place_has_one_verdict_however_many_reasons_it_has() {
        use Verdict::{Inserted, Rejected, Stale, Updated};
        for (written, places, expected) in [
            (&[][..], &[][..], &[][..]),
            (&[Inserted, Stale], &[], &[Inserted, Stale]),
            (&[Inserted, Stale], &[1, 1, 3], &[Inserted, Rejected, Stale, Rejected]),
            (&[Inserted, Stale, Updated], &[0, 1, 1, 1], &[Rejected, Rejected, Inserted, Stale, Updated]),
            (&[], &[0, 1, 2, 2], &[Rejected, Rejected, Rejected]),
        ] {
            assert_eq!(in_their_places(written, &rejections(places)), expected, "{places:?}");
        }
    }
}
