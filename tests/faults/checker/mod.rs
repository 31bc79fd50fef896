//! Judges a history. Pure: it knows no server, no database and no clock.
//!
//! Each law is one pass over calls and reads that were sorted once. The laws of single buckets look at each shown
//! bucket once.

mod index;
mod posts;
mod reads;
mod shown;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::history::History;
use index::Index;

/// What must be true of every history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// What was acknowledged, or seen, is at most what stands in the end.
    NothingIsLost,
    /// What stands or is shown was sent by somebody, and not refused with the word that nothing was written.
    SomebodySentIt,
    /// `inserted` comes once between two erasures.
    InsertedOnce,
    /// `stale`, `kept` and `superseded` come only where a greater snapshot had been sent.
    LosesToAGreaterOne,
    /// A snapshot is not written over a greater one that had been acknowledged.
    NeverOverAGreaterOne,
    /// What was acknowledged before `as_of` is in the reply.
    IncludedAsOf,
    /// A total is not more than what had been sent.
    NoMoreThanWasSent,
    /// `as_of` falls for a user only into a change that was under way when the earlier reply was read and that waits to
    /// be folded now, whichever process answers.
    AsOfFallsToAChange,
    /// `version` does not fall for a user, whichever process answers.
    VersionNeverFalls,
    /// What was read of a bucket does not fall.
    BucketNeverFalls,
    /// Of a post everything acceptable is there, or nothing.
    WhollyOrNotAtAll,
    /// What was erased does not come back.
    ErasedStaysErased,
    /// The rollup is the fold of the buckets that stand.
    RollupIsTheFold,
    /// Of the history itself: counts rise with the order of snapshots, so that sums have bounds.
    CountsRise,
}

/// A law that a history breaks, with the shortest part of the history that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub law: Law,
    pub said: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.law, self.said)
    }
}

/// Every breach that there is, but only the first few of each law.
pub fn check(history: &History) -> Vec<Breach> {
    let index = Index::new(history);
    let mut breaches = Breaches::default();
    index.counts_rise(&mut breaches);
    posts::check(&index, &mut breaches);
    reads::check(&index, &mut breaches);
    shown::check(&index, &mut breaches);
    shown::check_end(&index, &mut breaches);
    breaches.0
}

/// How many breaches of one law are told.
const TOLD: usize = 5;

#[derive(Debug, Default)]
struct Breaches(Vec<Breach>);

impl Breaches {
    fn add(&mut self, law: Law, said: impl FnOnce() -> String) {
        if self.0.iter().filter(|breach| breach.law == law).count() < TOLD {
            self.0.push(Breach { law, said: said() });
        }
    }
}
