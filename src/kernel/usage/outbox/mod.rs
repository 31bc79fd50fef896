//! Events, from the change that they announce to the fold that consumes them.
//!
//! An event is written in the transaction that changes the buckets, by the writer's statement or by
//! a `publish` function. It is deleted in the transaction that takes its effect. A consumer deletes
//! exactly the ids that it claimed, because reading by "id greater than the last seen" would lose
//! events that commit late.
//!
//! Events stand in lanes by what they cost, and in parts by their user.

mod part;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::kernel::bucket::Source;
use crate::kernel::call::{RequestContext, Trace};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
pub use part::{PARTS, PartSet, UserPart};

/// After this many failures through its own data an event is parked.
pub const MAX_ATTEMPTS: i32 = 10;

/// Which queue an event stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Trackers' posts.
    Live,
    /// Backfills.
    Bulk,
    /// What touches a whole user: large, and therefore only a few at a time.
    Whole,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::Bulk, Self::Whole];

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Bulk => "bulk",
            Self::Whole => "whole",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let known = Self::ALL.into_iter().find(|lane| lane.as_str() == text);
        known.ok_or_else(|| Problem::internal(format!("an event stands in the unknown lane {text:?}")))
    }
}

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Buckets of one UTC day changed.
    BucketChanged,
    /// The user wants another time zone, or another book is in force.
    Rebuild,
    /// Days are to be folded again.
    Replay,
    /// The owner removed buckets.
    Erased,
}

impl Topic {
    const ALL: [Self; 4] = [Self::BucketChanged, Self::Rebuild, Self::Replay, Self::Erased];

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BucketChanged => "bucket_changed",
            Self::Rebuild => "rebuild",
            Self::Replay => "replay",
            Self::Erased => "erased",
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let known = Self::ALL.into_iter().find(|topic| topic.as_str() == text);
        known.ok_or_else(|| Problem::internal(format!("an event has the unknown topic {text:?}")))
    }
}

/// A claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose buckets changed.
    pub user_id: Uuid,
    /// The event.
    pub id: i64,
    /// What it says.
    pub topic: Topic,
    /// When the change began.
    pub created_at: DateTime<Utc>,
    /// How many folds failed through its own data.
    pub attempts: i32,
    /// The queue it stands in.
    pub lane: Lane,
    /// The trace that it was caused in, if it was in one.
    pub trace: Option<Trace>,
}

/// Announces, in the transaction that stored it, that `account.user.time_zone` changed: the relay then rebuilds the
/// user's whole rollup in the zone that stands there, and records it. Until then reads use the recorded zone and say
/// `pending`. Access: the user itself, or the worker.
pub async fn publish_rebuild(tx: &mut Tx, user_id: Uuid, cause: &RequestContext) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/kernel/usage/outbox/publish_rebuild.sql",
        user_id,
        cause.request_id,
        cause.trace.traceparent()
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Announces the same for these users, or for all: each rollup is rebuilt in the zone and the book that are wanted when its
/// turn comes. Returns the number of events. Access: the worker.
pub async fn publish_rebuilds(tx: &mut Tx, user_ids: Option<&[Uuid]>, cause: &RequestContext) -> Result<i64, Problem> {
    let (request_id, traceparent) = (cause.request_id, cause.trace.traceparent());
    let query =
        sqlx::query_file_scalar!("src/kernel/usage/outbox/publish_rebuilds.sql", user_ids, request_id, traceparent);
    Ok(query.fetch_one(tx).await?)
}

/// Asks that every local day with a half hour from `first_hour` to `last_hour` (both inclusive) be folded again, for
/// each of the users: days with buckets, and days with rollup rows, so that rows without buckets go. Days before the
/// retention horizon stay as they are. Returns the number of events: one a user and week. Access: the worker.
pub async fn publish_replay(
    tx: &mut Tx,
    user_ids: &[Uuid],
    first_hour: DateTime<Utc>,
    last_hour: DateTime<Utc>,
    lane: Lane,
    cause: &RequestContext,
) -> Result<i64, Problem> {
    let (lane, traceparent) = (lane.as_str(), cause.trace.traceparent());
    let query = sqlx::query_file_scalar!(
        "src/kernel/usage/outbox/publish_replay.sql",
        user_ids,
        first_hour,
        last_hour,
        lane,
        cause.request_id,
        traceparent
    );
    Ok(query.fetch_one(tx).await?)
}

/// What an owner removed.
#[derive(Clone, Copy, Debug)]
pub struct ErasedScope {
    /// The owner.
    pub user_id: Uuid,
    /// Only this device's.
    pub device_id: Option<Uuid>,
    /// Only this tool's.
    pub source: Option<Source>,
    /// From this half hour on; `None` for no bound.
    pub first_hour: Option<DateTime<Utc>>,
    /// Up to and with this half hour; `None` for no bound.
    pub last_hour: Option<DateTime<Utc>>,
}

/// Announces, in the transaction that removed them, that buckets are gone: the relay folds their days again, and
/// removes the scope from days that lie before the retention horizon and are covered whole, whose buckets nobody has
/// any more. Access: the user itself, or the worker.
pub async fn publish_erased(tx: &mut Tx, scope: ErasedScope, cause: &RequestContext) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/kernel/usage/outbox/publish_erased.sql",
        scope.user_id,
        scope.device_id,
        scope.source.as_ref().map(Source::as_str),
        scope.first_hour,
        scope.last_hour,
        cause.request_id,
        cause.trace.traceparent(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The claimed columns of a row as an [`Event`].
macro_rules! event {
    ($row:ident) => {
        Ok(Event {
            user_id: $row.user_id,
            id: $row.id,
            topic: Topic::parse(&$row.topic)?,
            created_at: $row.created_at,
            attempts: $row.attempts,
            lane: Lane::parse(&$row.lane)?,
            trace: $row.traceparent.as_deref().and_then(Trace::parse),
        })
    };
}

/// How many events of each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerLane {
    /// [`Lane::Live`].
    pub live: i64,
    /// [`Lane::Bulk`].
    pub bulk: i64,
    /// [`Lane::Whole`].
    pub whole: i64,
}

impl PerLane {
    /// That of one lane.
    pub const fn of(&self, lane: Lane) -> i64 {
        match lane {
            Lane::Live => self.live,
            Lane::Bulk => self.bulk,
            Lane::Whole => self.whole,
        }
    }

    /// That of one lane, to be changed.
    pub const fn of_mut(&mut self, lane: Lane) -> &mut i64 {
        match lane {
            Lane::Live => &mut self.live,
            Lane::Bulk => &mut self.bulk,
            Lane::Whole => &mut self.whole,
        }
    }
}

/// Where events may be claimed: one lane of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartLane {
    /// The part.
    pub part: UserPart,
    /// The lane.
    pub lane: Lane,
    /// No event with a lower id is looked at, unless it failed before.
    pub scan_from: i64,
    /// No more events than these, and as many that failed before.
    pub at_most: i64,
}

/// The oldest events that are due in these places: at most so many of each lane, and as many that failed before, which are
/// found by their time. The caller holds the locks that make it the only consumer of those parts.
pub async fn claim_events(
    tx: &mut Tx,
    now: DateTime<Utc>,
    places: &[PartLane],
    at_most: PerLane,
) -> Result<Vec<Event>, Problem> {
    let parts: Vec<_> = places.iter().map(|place| place.part.number()).collect();
    let lanes: Vec<_> = places.iter().map(|place| place.lane.as_str()).collect();
    let (scan_from, at_most_there): (Vec<_>, Vec<_>) =
        places.iter().map(|place| (place.scan_from, place.at_most)).unzip();
    let query = sqlx::query_file!(
        "src/kernel/usage/outbox/claim_events.sql",
        now,
        &parts,
        &lanes as &[&str],
        &scan_from,
        &at_most_there,
        at_most.live,
        at_most.bulk,
        at_most.whole
    );
    query.fetch_all(tx).await?.into_iter().map(|row| event!(row)).collect()
}

/// Parked events of the users of `events` that may touch the same days, ordered by user. `events` took effect, so these
/// may have become foldable too. Of a part that `rests` in a large lane, no event of that lane is taken.
pub async fn claim_parked_events(
    tx: &mut Tx,
    events: &[Event],
    rests: impl Fn(Lane) -> Vec<UserPart>,
) -> Result<Vec<Event>, Problem> {
    let (user_ids, ids) = keys(events);
    let [bulk, whole] =
        [Lane::Bulk, Lane::Whole].map(|lane| rests(lane).into_iter().map(UserPart::number).collect::<Vec<_>>());
    let query = sqlx::query_file!("src/kernel/usage/outbox/claim_parked_events.sql", &user_ids, &ids, &bulk, &whole);
    query.fetch_all(tx).await?.into_iter().map(|row| event!(row)).collect()
}

/// Removes events whose effect this transaction has taken.
pub async fn consume_events(tx: &mut Tx, events: &[Event]) -> Result<(), Problem> {
    let (user_ids, ids) = keys(events);
    sqlx::query_file!("src/kernel/usage/outbox/consume_events.sql", &user_ids, &ids).execute(tx).await?;
    Ok(())
}

/// What waits in one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The lane.
    pub lane: Lane,
    /// Events that are not folded yet, without the parked ones.
    pub waiting: i64,
    /// When the oldest of them was made.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Events that were set aside after too many failures.
    pub parked: i64,
}

/// What waits, for each lane. It counts rows: for every few seconds, not for every round. Access: the worker.
pub async fn measure_backlog(tx: &mut Tx) -> Result<Vec<Backlog>, Problem> {
    let rows = sqlx::query_file!("src/kernel/usage/outbox/measure_backlog.sql").fetch_all(tx).await?;
    rows.into_iter()
        .map(|row| {
            let lane = Lane::parse(&row.lane)?;
            Ok(Backlog { lane, waiting: row.waiting, oldest_at: row.oldest_at, parked: row.parked })
        })
        .collect()
}

/// Notes that an event failed through its own data: it waits until `retry_at`, and is parked after [`MAX_ATTEMPTS`].
/// `error` is the SQLSTATE and constraint, never row data.
pub async fn fail_event(
    tx: &mut Tx,
    event: &Event,
    error: &str,
    now: DateTime<Utc>,
    retry_at: DateTime<Utc>,
) -> Result<(), Problem> {
    sqlx::query_file!(
        "src/kernel/usage/outbox/fail_event.sql",
        event.user_id,
        event.id,
        error,
        now,
        retry_at,
        MAX_ATTEMPTS
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The key of each event, as two columns.
pub fn keys(events: &[Event]) -> (Vec<Uuid>, Vec<i64>) {
    events.iter().map(|event| (event.user_id, event.id)).unzip()
}
