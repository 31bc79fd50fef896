//! The state of a user's rollup: its zone, how fresh it is, and from when on buckets are kept. Every read begins with it,
//! in the snapshot in which it reads its numbers.

mod store;

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use store::StateRow;

use crate::kernel::access::erased_user;
use crate::kernel::bucket::HALF_HOUR_S;
use crate::kernel::clock::Clock;
use crate::kernel::database::{ReadFrom, Tx};
use crate::kernel::http::values::UNKNOWN_TIME_ZONE;
use crate::kernel::problem::{Problem, Violation};

/// What is known of a user's rollup in one snapshot.
#[derive(Clone, Debug)]
pub struct RollupState(StateRow);

impl RollupState {
    /// Reads the state for a request that may name a zone. Errors: 422 for a zone that there is none; 401 where the user
    /// was erased since its token was looked up.
    pub(super) async fn read(
        (tx, from): (&mut Tx, ReadFrom),
        user_id: Uuid,
        clock: &Clock,
        time_zone: Option<&str>,
    ) -> Result<Self, Problem> {
        let state = store::rollup_state(tx, user_id, clock.now(), time_zone).await?;
        let mut state = Self(state.ok_or_else(erased_user)?);
        if let ReadFrom::Standby(as_of) = from {
            state.0.read_at = as_of;
        }
        match time_zone {
            Some(asked) if asked != state.time_zone() => {
                let (code, detail) = UNKNOWN_TIME_ZONE;
                Err(Problem::invalid(vec![Violation::new("?time_zone", code, detail)]))
            }
            _ => Ok(state),
        }
    }

    /// Everything acknowledged before this instant is in the rollup.
    pub fn as_of(&self) -> DateTime<Utc> {
        self.0.oldest_event_at.map_or(self.0.read_at, |oldest| oldest.min(self.0.read_at))
    }

    /// Whether changes wait to be folded.
    pub const fn pending(&self) -> bool {
        self.0.oldest_event_at.is_some() || self.0.zone_change_waits
    }

    /// Rises when a row of the rollup changes, and only then.
    pub const fn version(&self) -> i64 {
        self.0.version
    }

    /// The price book that the answer is in; `None` where there is no cost.
    pub const fn book(&self) -> Option<i32> {
        self.0.book
    }

    /// The price book that the rollup will be moved to, where that is another one.
    pub fn pending_book(&self) -> Option<i32> {
        self.0.book_in_force.filter(|book| Some(*book) != self.0.book)
    }

    /// The newest change that waits to be folded; validators hold it.
    pub const fn newest_event_id(&self) -> Option<i64> {
        self.0.newest_event_id
    }

    /// The zone whose days the answer has.
    pub fn time_zone(&self) -> &str {
        self.0.other_zone.as_deref().unwrap_or(&self.0.recorded_zone)
    }

    /// Whether that is another zone than the rollup's, so that only buckets can answer.
    pub const fn is_other_zone(&self) -> bool {
        self.0.other_zone.is_some()
    }

    /// The local date of now in that zone.
    pub const fn today(&self) -> NaiveDate {
        self.0.today
    }

    /// The instant before which retention has removed buckets of days that begin at `first`; `None` where they are all there.
    pub(super) async fn removed_before(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        first: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Problem> {
        // Two days later all the world agrees that the frozen days are over.
        let is_near = |day: NaiveDate| first.date_naive() < day + Days::new(2);
        if !self.0.frozen_before.is_some_and(is_near) {
            return Ok(None);
        }
        let kept_from = store::kept_from(tx, user_id).await?;
        Ok(Some(kept_from).filter(|kept_from| first_half_hour(first) < *kept_from))
    }

    /// Refuses an answer from buckets for days that begin at `first`, where retention has removed buckets of those days.
    /// Such an answer would show zeros for what was counted. Errors: 422.
    pub(super) async fn refuse_removed(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        first: DateTime<Utc>,
        instead: &str,
    ) -> Result<(), Problem> {
        let Some(kept_from) = self.removed_before(tx, user_id, first).await? else { return Ok(()) };
        let kept_from = kept_from.to_rfc3339_opts(SecondsFormat::Secs, true);
        let detail = format!("Buckets before {kept_from} are past retention and were removed. {instead}");
        Err(Problem::invalid(vec![Violation::new("?from", "before_retention_horizon", detail)]))
    }
}

/// The first half hour of a day that begins at an instant: half hours belong to the day in which they begin.
fn first_half_hour(begins_at: DateTime<Utc>) -> DateTime<Utc> {
    let into = begins_at.timestamp().rem_euclid(HALF_HOUR_S);
    begins_at + TimeDelta::seconds((HALF_HOUR_S - into) % HALF_HOUR_S)
}
