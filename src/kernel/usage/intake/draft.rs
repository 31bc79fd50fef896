//! A post as its protocol hands it over: each place with its bucket, or with all that is wrong
//! there.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::arrival::{Arrival, Timely, Untimely};
use super::beginning::Begun;
use crate::kernel::bucket::{HalfHour, MAX_POSTED, Model, TokenCounts};
use crate::kernel::clock::Clock;
use crate::kernel::idempotency::IdempotencyKey;
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::snapshot::{Bucket, Firmness};
use crate::kernel::usage::sources::{AllowedSource, KnownSources, Unlisted};
use crate::kernel::usage::writer::{Rejection, Rejections};

/// What to do with a post in which some places are not acceptable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handling {
    /// Refuse the whole post.
    #[default]
    Strict,
    /// Write the acceptable places and name the others.
    Lenient,
}

/// What a protocol read at one place.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The half hour: see [`Draft::hour_start`].
    pub hour_start: Timely<HalfHour>,
    /// The tool: see [`Draft::source`].
    pub source: AllowedSource,
    /// The model.
    pub model: Model,
    /// What was used.
    pub counts: TokenCounts,
    /// When it was observed: see [`Draft::observed_at`]. `None` where the tracker does not say.
    pub observed_at: Option<Timely<DateTime<Utc>>>,
    /// What the tracker says beside the counts.
    pub firmness: Firmness,
}

/// How a device speaks that posts to `/v1/buckets`.
const OWN_PROTOCOL: &str = "halfhour";

/// A post in the making. It is empty at first, strict, and without a key.
#[derive(Debug)]
pub struct Draft {
    arrival: Arrival,
    sources: Arc<KnownSources>,
    handling: Handling,
    pub(super) speaks: &'static str,
    pub(super) key: Option<IdempotencyKey>,
    places: usize,
    pub(super) buckets: Vec<Bucket>,
    rejections: Vec<(usize, Violation)>,
    refusals: Vec<Violation>,
}

impl Draft {
    /// One that arrives now, for tests of how a protocol reads. A handler has
    /// [`Intake::admit`](super::Intake::admit).
    pub(crate) fn new(clock: &Clock, max_age_days: Option<u32>, sources: Arc<KnownSources>) -> Self {
        Self {
            arrival: Arrival::now(clock, max_age_days),
            sources,
            handling: Handling::Strict,
            speaks: OWN_PROTOCOL,
            key: None,
            places: 0,
            buckets: Vec::new(),
            rejections: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Strict or lenient.
    #[must_use]
    pub fn handled(self, handling: Handling) -> Self {
        Self { handling, ..self }
    }

    /// It came in the protocol of another product.
    #[must_use]
    pub fn spoken(self, speaks: &'static str) -> Self {
        Self { speaks, ..self }
    }

    /// Repeated under the same key it gets the first answer again.
    #[must_use]
    pub fn keyed(self, key: Option<IdempotencyKey>) -> Self {
        Self { key, ..self }
    }

    /// Whatever says no time itself was observed when its request began to arrive: so a request that is overtaken on its way
    /// does not win against the one that was sent after it. The protocol sees to it that no bucket comes twice.
    #[must_use]
    pub fn begun(self, Begun(at): Begun) -> Self {
        Self { arrival: self.arrival.begun(at), ..self }
    }

    /// A half hour that may be posted now. Errors: `too_old` for one before the oldest that
    /// trackers may post, `in_future` for one that has not begun.
    pub fn hour_start(&self, half_hour: HalfHour) -> Result<Timely<HalfHour>, Untimely> {
        self.arrival.hour_start(half_hour)
    }

    /// An instant at which a snapshot can have been taken, cut to microseconds. Errors:
    /// `observed_at_in_future` for one that is more than five minutes ahead.
    pub fn observed_at(&self, instant: DateTime<Utc>) -> Result<Timely<DateTime<Utc>>, Untimely> {
        self.arrival.observed_at(instant)
    }

    /// A tool that may report usage now. Errors: `unknown_source` for what is none, or another name
    /// of one; `retired_source` for one that may no more.
    pub fn source(&self, name: &str) -> Result<AllowedSource, Unlisted> {
        self.sources.allowed(name)
    }

    /// The same by any of the tool's names, for protocols of products that have names of their own.
    pub fn tool(&self, name: &str) -> Result<AllowedSource, Unlisted> {
        self.sources.called(name)
    }

    /// The next place holds this. Without `observed_at` it is stamped here, on arrival, before it
    /// waits for anything.
    pub fn add(&mut self, snapshot: Snapshot) {
        let Snapshot { hour_start, source, model, counts, observed_at, firmness } = snapshot;
        let (hour_start, stamp) = self.arrival.date(hour_start, observed_at, firmness);
        self.buckets.push(Bucket { hour_start, source: source.source(), model, counts, stamp });
        self.places += 1;
    }

    /// The next place cannot be taken, for these reasons: at least one.
    ///
    /// # Panics
    /// If there is no reason: a place that says nothing would have no verdict either.
    pub fn reject(&mut self, reasons: Vec<Violation>) {
        assert!(!reasons.is_empty(), "a place is rejected for a reason");
        self.rejections.extend(reasons.into_iter().map(|reason| (self.places, reason)));
        self.places += 1;
    }

    /// The post as a whole is not acceptable, however it is handled.
    pub fn refuse(&mut self, reasons: Vec<Violation>) {
        self.refusals.extend(reasons);
    }

    /// How many places there are so far.
    pub const fn places(&self) -> usize {
        self.places
    }

    /// What was taken so far, in the order of its places.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// What is wrong so far inside places, each with its place from 0, in order.
    pub fn rejections(&self) -> &[(usize, Violation)] {
        &self.rejections
    }

    /// What is wrong so far with the post as a whole, in order.
    pub fn refusals(&self) -> &[Violation] {
        &self.refusals
    }

    /// Whether it can go ahead: strictly not when anything is wrong, leniently not when the post as
    /// a whole is.
    ///
    /// Errors: 413 for more than [`MAX_POSTED`] places; 422 with every violation, those of the
    /// whole first.
    pub fn sound(self) -> Result<Self, Problem> {
        if self.places > MAX_POSTED.into() {
            return Err(Self::too_large());
        }
        if self.refusals.is_empty() && (self.rejections.is_empty() || self.handling == Handling::Lenient) {
            return Ok(self);
        }
        let inside = self.rejections.into_iter().map(|(_, violation)| violation);
        Err(Problem::invalid(self.refusals.into_iter().chain(inside).collect()))
    }

    /// 413: more than [`MAX_POSTED`] places, for a protocol that stops reading there.
    pub fn too_large() -> Problem {
        Problem::new(Code::BatchTooLarge, format!("A request may hold at most {MAX_POSTED} buckets."))
    }

    /// What is written and what is answered beside it.
    pub(super) fn into_parts(self) -> (Vec<Bucket>, Rejections) {
        let rejection = |(index, violation)| {
            let Violation { pointer, code, detail } = violation;
            Rejection { index, pointer, code: code.to_owned(), detail }
        };
        (self.buckets, self.rejections.into_iter().map(rejection).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(handling: Handling) -> Draft {
        let clock = Clock::fixed("2026-11-20T12:00:00Z".parse().unwrap());
        Draft::new(&clock, Some(400), Arc::new(KnownSources::allowing(&["codex"]))).handled(handling)
    }

    fn add(draft: &mut Draft) {
        let hour_start = HalfHour::new("2026-11-20T10:30:00Z".parse().unwrap()).unwrap();
        let hour_start = draft.hour_start(hour_start).unwrap();
        let (source, model) = (draft.source("codex").unwrap(), Model::parse("m").unwrap());
        let counts = TokenCounts::default();
        draft.add(Snapshot { hour_start, source, model, counts, observed_at: None, firmness: Firmness::Ordinary });
    }

    fn violation(pointer: &str) -> Vec<Violation> {
        vec![Violation::new(pointer, "x", "y")]
    }

    fn pointers(refused: &Problem) -> Vec<&str> {
        refused.violations().iter().map(|violation| violation.pointer.as_str()).collect()
    }

    #[test]
    fn a_rejection_keeps_its_place_and_is_written_beside_the_others_only_leniently() {
        for (handling, goes_ahead) in [(Handling::Strict, false), (Handling::Lenient, true)] {
            let mut draft = draft(handling);
            add(&mut draft);
            draft.reject(violation("/1"));
            add(&mut draft);
            draft.reject([violation("/3"), violation("/3/x")].concat());
            assert_eq!(draft.places(), 4);
            match draft.sound() {
                Ok(draft) => {
                    let (buckets, rejections) = draft.into_parts();
                    let places: Vec<_> = rejections.iter().map(|rejection| rejection.index).collect();
                    assert_eq!((goes_ahead, buckets.len(), places), (true, 2, vec![1, 3, 3]));
                }
                Err(refused) => assert_eq!((goes_ahead, pointers(&refused)), (false, vec!["/1", "/3", "/3/x"])),
            }
        }
    }

    #[test]
    fn what_is_wrong_with_the_whole_comes_first_and_refuses_it_however_it_is_handled() {
        for handling in [Handling::Strict, Handling::Lenient] {
            let mut draft = draft(handling);
            draft.reject(violation("/0"));
            draft.refuse(violation(""));
            assert_eq!(pointers(&draft.sound().unwrap_err()), ["", "/0"]);
        }
    }

    #[test]
    fn five_hundred_places_are_a_post_and_one_more_is_too_large() {
        for handling in [Handling::Strict, Handling::Lenient] {
            let mut draft = draft(handling);
            (0..MAX_POSTED).for_each(|_| add(&mut draft));
            draft = draft.sound().unwrap();
            draft.reject(violation("/500"));
            assert_eq!(draft.sound().unwrap_err().code(), Code::BatchTooLarge);
        }
    }

    #[test]
    #[should_panic(expected = "for a reason")]
    fn a_rejection_without_a_reason_is_a_bug() {
        draft(Handling::Lenient).reject(Vec::new());
    }
}
