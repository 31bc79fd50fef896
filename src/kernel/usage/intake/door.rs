//! What every post goes through, in this order: the switch, the room, the key's earlier answer, the
//! allowance, the write. What is written is not held up by the hint that may come with the answer.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use uuid::Uuid;

use super::draft::Draft;
use super::heard::HeardDevices;
use super::repeats::{RepeatLookups, Repeats};
use super::tally::{MAX_RECORDS, Tally};
use crate::kernel::access::{Device, DeviceKind, Granted, Limit, Refused};
use crate::kernel::clock::Clock;
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::sources::Sources;
use crate::kernel::usage::writer::{Rejections, Verdict, Writer, Written, other_kind};

/// What an operator switched off stays off for a while.
const RETRY_SWITCHED_OFF_S: u64 = 30;

/// The door. Clones share everything.
///
/// It is an extractor: a handler that names it is not entered, and no body is read, while posting
/// is switched off (503 `switched_off`). The first of all waits until the tools were read.
#[derive(Clone, Debug)]
pub struct Intake(Arc<Means>);

#[derive(Debug)]
struct Means {
    switches: Switches,
    clock: Clock,
    writer: Writer,
    sources: Sources,
    max_age_days: Option<u32>,
    allowance: Option<Limit>,
    repeats: RepeatLookups,
    heard: HeardDevices,
}

/// What a post is answered. What it holds is durable, or of no consequence.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The request that was executed: an earlier one where this is a replay.
    pub request_id: Uuid,
    /// One a place, in order.
    pub verdicts: Vec<Verdict>,
    /// Why places are [`Verdict::Rejected`].
    pub rejections: Rejections,
    /// True where the answer is of an earlier execution of the same key.
    pub replayed: bool,
    /// What is left of the device's allowance, where there is one and something was taken from it.
    pub granted: Option<Granted>,
    /// What a new device repeats of another one, at most once a day. A repetition under a key has none.
    pub repeats: Option<Repeats>,
}

/// What a post of records is answered. What it holds is durable, or of no consequence.
#[derive(Clone, Debug)]
pub struct CountReceipt {
    /// One a record, in order: `inserted` where it was added now, `unchanged` where it had been before, `erased` or
    /// `before_retention_horizon` where it was not.
    pub verdicts: Vec<Verdict>,
    /// What is left of the device's allowance, where there is one and something was taken from it.
    pub granted: Option<Granted>,
}

impl Intake {
    /// Half hours older than `max_age_days` are not taken, and no more than `buckets_per_hour` of
    /// each device; `None` and 0 for no limit.
    pub fn new(
        switches: Switches,
        clock: Clock,
        writer: Writer,
        sources: Sources,
        max_age_days: Option<u32>,
        buckets_per_hour: u32,
        repeats: RepeatLookups,
    ) -> Self {
        let refusal = "This device has posted too many buckets for now, and nothing of this post was written";
        let allowance = Limit::per_hour("buckets", buckets_per_hour, refusal);
        let heard = HeardDevices::new(clock.clone());
        Self(Arc::new(Means { switches, clock, writer, sources, max_age_days, allowance, repeats, heard }))
    }

    /// Which devices have reported, and in which protocol.
    pub fn heard(&self) -> &HeardDevices {
        &self.0.heard
    }

    /// Lets in a post that seems to hold so many buckets, before it is parsed. The draft counts as
    /// arrived now.
    ///
    /// Errors: 503 `switched_off` while posting is off, 503 `overloaded` where the queue has no
    /// room for as many, 503 `database_unavailable` where the tools were never read.
    pub fn admit(&self, estimated_buckets: usize) -> Result<Draft, Problem> {
        self.is_open()?;
        self.0.writer.check_room(estimated_buckets)?;
        let sources = self.0.sources.last().ok_or_else(unread)?;
        Ok(Draft::new(&self.0.clock, self.0.max_age_days, sources))
    }

    /// Writes a post; when it returns `Ok`, every place with a verdict other than `rejected` is
    /// durable, or lost to a version that is. A repeated key that has an answer gets it, even where
    /// the rules of today refuse the post.
    ///
    /// Errors: 409 `conflict` for a device that counts; 413 and 422 as [`Draft::sound`] has them; 429 `rate_limited` with its header fields
    /// where the device's allowance is used up; 409 `idempotency_in_progress` and 422
    /// `idempotency_key_reused` for a key; 503 `overloaded` where the queue is full by now; 500 for
    /// an answer of a newer release; the database's 503 and 504.
    pub async fn post(&self, device: &Device, mut draft: Draft) -> Result<Receipt, Problem> {
        refuse_other_kind(device, DeviceKind::Snapshotting)?;
        let key = draft.key.take();
        let draft = match (draft.sound(), &key) {
            (Ok(draft), _) => draft,
            // What was acceptable when it was executed may have become too old since.
            (Err(refused), Some(key)) => {
                let written = self.0.writer.answered(device, key).await?.ok_or(refused)?;
                return Ok(Receipt::new(written, None));
            }
            (Err(refused), None) => return Err(refused),
        };
        let granted = self.take_allowance(device, draft.places())?;
        let speaks = draft.speaks;
        let (buckets, rejections) = draft.into_parts();
        let sample = self.0.repeats.sample(device.device_id(), &buckets);
        let written = self.0.writer.write(device, buckets, rejections, key).await?;
        self.0.heard.note(device, speaks);
        let mut receipt = Receipt::new(written, granted);
        if let Some(sample) = sample.filter(|_| !receipt.replayed) {
            // Rejected places have no bucket.
            let taken = receipt.verdicts.iter().filter(|verdict| **verdict != Verdict::Rejected);
            let inserted = taken.map(|verdict| *verdict == Verdict::Inserted).collect::<Vec<_>>();
            receipt.repeats = self.0.repeats.look(device, sample, inserted.into_iter()).await;
        }
        Ok(receipt)
    }

    /// Lets in a post of a device that counts and seems to send so many records, before it is parsed. The records count
    /// as arrived now.
    ///
    /// Errors: as [`Intake::admit`]; 409 `conflict` for a device that takes snapshots.
    pub fn admit_records(&self, device: &Device, estimated_records: usize) -> Result<Tally, Problem> {
        self.is_open()?;
        refuse_other_kind(device, DeviceKind::Counting)?;
        self.0.writer.check_room(estimated_records.min(MAX_RECORDS))?;
        let sources = self.0.sources.last().ok_or_else(unread)?;
        Ok(Tally::new(&self.0.clock, self.0.max_age_days, sources))
    }

    /// Adds records to buckets, each once; when it returns `Ok`, they are durable.
    ///
    /// Errors: 409 `conflict` for a device that takes snapshots; 413 for more than [`MAX_RECORDS`]; 422 where a bucket
    /// would hold too much; 429 `rate_limited` where the device's allowance, of which each record takes as much as a
    /// bucket, is used up; 503 `overloaded` where the queue is full by now; the database's 503 and 504.
    pub async fn count(&self, device: &Device, tally: Tally) -> Result<CountReceipt, Problem> {
        if tally.records.len() > MAX_RECORDS {
            return Err(Tally::too_large());
        }
        let granted = self.take_allowance(device, tally.records.len())?;
        let verdicts = self.0.writer.count(device, tally.records).await?;
        Ok(CountReceipt { verdicts, granted })
    }

    fn is_open(&self) -> Result<(), Problem> {
        if self.0.switches.is_on(Switch::Ingest) {
            return Ok(());
        }
        Err(Problem::new(Code::SwitchedOff, "Posting is switched off for now; nothing was written.")
            .retry_after(RETRY_SWITCHED_OFF_S))
    }

    /// Takes a whole post from the device's allowance; one without places is free. Errors: 429.
    fn take_allowance(&self, device: &Device, places: usize) -> Result<Option<Granted>, Problem> {
        let places = u32::try_from(places).ok().and_then(NonZeroU32::new);
        let Some((allowance, places)) = self.0.allowance.as_ref().zip(places) else { return Ok(None) };
        allowance.take(device.device_id(), places).map(Some).map_err(Refused::problem)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Intake
where
    Self: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(_parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let intake = Self::from_ref(state);
        intake.is_open()?;
        intake.0.sources.known().await?;
        Ok(intake)
    }
}

/// What is known of a device's kind costs no question. Where nothing is, the writer asks.
fn refuse_other_kind(device: &Device, asked: DeviceKind) -> Result<(), Problem> {
    if device.kind().is_none_or(|kind| kind == asked) { Ok(()) } else { Err(other_kind(asked)) }
}

/// Nobody may be refused for a tool that is not known yet.
fn unread() -> Problem {
    Problem::new(Code::DatabaseUnavailable, "The tools that may report usage have not been read yet.").retry_after(1)
}

impl Receipt {
    fn new(written: Written, granted: Option<Granted>) -> Self {
        let Written { request_id, verdicts, rejections, replayed } = written;
        Self { request_id, verdicts, rejections, replayed, granted, repeats: None }
    }
}
