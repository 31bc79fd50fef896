//! A post of records that are added to buckets, as its protocol hands it over.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::arrival::{Arrival, Untimely};
use crate::kernel::bucket::{HalfHour, Model, TokenCounts};
use crate::kernel::clock::Clock;
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::ledger::TAKEN_FOR_DAYS;
use crate::kernel::usage::record::{RecordHash, UsageRecord};
use crate::kernel::usage::sources::{AllowedSource, KnownSources, Unlisted};

/// A post has this many records at most.
pub const MAX_RECORDS: usize = 2_000;

/// When a request to a model was made. Only a [`Tally`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happened {
    at: DateTime<Utc>,
    hour_start: HalfHour,
}

/// Records in the making. It is empty at first, and arrives when it is made.
#[derive(Debug)]
pub struct Tally {
    arrival: Arrival,
    sources: Arc<KnownSources>,
    pub(super) records: Vec<UsageRecord>,
}

impl Tally {
    /// One that arrives now, for tests of how a protocol reads. A handler has
    /// [`Intake::admit_records`](super::Intake::admit_records).
    pub(crate) fn new(clock: &Clock, max_age_days: Option<u32>, sources: Arc<KnownSources>) -> Self {
        // What the ledger has forgotten could be counted again.
        let days = max_age_days.map_or(TAKEN_FOR_DAYS, |days| days.min(TAKEN_FOR_DAYS));
        Self { arrival: Arrival::now(clock, Some(days)), sources, records: Vec::new() }
    }

    /// A time of which records may be sent now. Errors: `too_old` for one in a half hour that the ledger does not
    /// remember, or that trackers may not post any more; `in_future` for one that is more than five minutes ahead.
    pub fn happened(&self, at: DateTime<Utc>) -> Result<Happened, Untimely> {
        self.arrival.event(at).map(|(at, hour_start)| Happened { at, hour_start })
    }

    /// A tool that may report usage now. Errors: `unknown_source`, `retired_source`.
    pub fn source(&self, name: &str) -> Result<AllowedSource, Unlisted> {
        self.sources.allowed(name)
    }

    /// The next record.
    pub fn add(
        &mut self,
        hash: RecordHash,
        Happened { at, hour_start }: Happened,
        source: AllowedSource,
        model: Model,
        counts: TokenCounts,
    ) {
        let source = source.source();
        self.records.push(UsageRecord { hash, happened_at: at, hour_start, source, model, counts });
    }

    /// What was read so far, in order.
    pub fn records(&self) -> &[UsageRecord] {
        &self.records
    }

    /// 413: more than [`MAX_RECORDS`] records, for a protocol that stops reading there.
    pub fn too_large() -> Problem {
        Problem::new(Code::BatchTooLarge, format!("A request may hold at most {MAX_RECORDS} records of usage."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(max_age_days: Option<u32>, at: &str) -> Result<String, &'static str> {
        let clock = Clock::fixed("2026-11-20T12:10:00Z".parse().unwrap());
        let tally = Tally::new(&clock, max_age_days, Arc::new(KnownSources::allowing(&["codex"])));
        let happened = tally.happened(at.parse().unwrap()).map_err(|untimely| untimely.code)?;
        Ok(happened.hour_start.start().to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
    }

    #[test]
    fn a_record_is_taken_while_the_ledger_remembers_it_and_trackers_may_post_it() {
        for max_age_days in [None, Some(400), Some(30)] {
            assert_eq!(code(max_age_days, "2026-10-21T12:30:00Z"), Ok("2026-10-21T12:30:00Z".to_owned()));
            assert_eq!(code(max_age_days, "2026-10-21T12:29:59.999Z"), Err("too_old"));
        }
        assert_eq!(code(Some(7), "2026-11-13T12:29:59Z"), Err("too_old"));
        assert_eq!(code(Some(7), "2026-11-13T12:30:00Z"), Ok("2026-11-13T12:30:00Z".to_owned()));
        for ancient in ["2019-12-31T23:59:59Z", "0000-01-01T00:00:00Z"] {
            assert_eq!(code(None, ancient), Err("too_old"));
        }
        assert_eq!(code(None, "2026-11-20T12:15:00Z"), Ok("2026-11-20T12:00:00Z".to_owned()));
        assert_eq!(code(None, "2026-11-20T12:15:00.000001Z"), Err("in_future"));
    }
}
