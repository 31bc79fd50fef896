//! What a user's rollup is in and how fresh it is: read first, in the one snapshot of every read.

mod store;

use chrono::{DateTime, Days, NaiveDate, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use crate::kernel::bucket::HALF_HOUR_S;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::http::values::UNKNOWN_TIME_ZONE;
use crate::kernel::problem::{Problem, Violation};

/// What is known of a user's rollup at the moment of a read.
#[derive(Clone, Debug)]
pub struct RollupState {
    /// The start of this transaction.
    read_at: DateTime<Utc>,
    /// When the user's first change began that is not folded yet, parked or not.
    oldest_event_at: Option<DateTime<Utc>>,
    /// The user's newest change that is not folded yet.
    newest_event_id: Option<i64>,
    /// The user wants another zone than the rollup's.
    zone_change_waits: bool,
    /// Rises when a row of the rollup changes.
    version: i64,
    /// The zone of the rollup's days.
    recorded_zone: String,
    /// The zone of the question, where that is another one.
    other_zone: Option<String>,
    /// The local date of now, in the zone of the question.
    today: NaiveDate,
    /// The first day whose buckets are kept; `None` where none were removed.
    frozen_before: Option<NaiveDate>,
}

impl RollupState {
    /// Reads it. Errors: 422 for a zone that there is none.
    async fn read(tx: &mut Tx, user_id: Uuid, clock: &Clock, time_zone: Option<&str>) -> Result<Self, Problem> {
        let state = store::rollup_state(tx, user_id, clock.now(), time_zone).await?;
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
        self.oldest_event_at.map_or(self.read_at, |oldest| oldest.min(self.read_at))
    }

    /// Whether changes wait to be folded.
    pub const fn pending(&self) -> bool {
        self.oldest_event_at.is_some() || self.zone_change_waits
    }

    /// Rises when a row of the rollup changes, and only then.
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// The newest change that waits; for validators.
    pub const fn newest_event_id(&self) -> Option<i64> {
        self.newest_event_id
    }

    /// The zone whose days the answer has.
    pub fn time_zone(&self) -> &str {
        self.other_zone.as_deref().unwrap_or(&self.recorded_zone)
    }

    /// Whether that is another zone than the rollup's, so that only buckets can answer.
    pub const fn is_other_zone(&self) -> bool {
        self.other_zone.is_some()
    }

    /// The local date of now in that zone.
    pub const fn today(&self) -> NaiveDate {
        self.today
    }

    /// Refuses an answer from buckets whose days begin at `first`, where buckets have been removed since: it would show
    /// zeros for what was counted. Errors: 422.
    pub async fn refuse_removed(
        &self,
        tx: &mut Tx,
        user_id: Uuid,
        first: DateTime<Utc>,
        instead: &str,
    ) -> Result<(), Problem> {
        // Two days later all the world agrees that the frozen days are over.
        let is_near = |day: NaiveDate| first.date_naive() < day + Days::new(2);
        if !self.frozen_before.is_some_and(is_near) {
            return Ok(());
        }
        let kept_from = store::kept_from(tx, user_id).await?;
        if first_half_hour(first) >= kept_from {
            return Ok(());
        }
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

/// Whose usage is read, and through what.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Where connections come from.
    pub pool: Pool,
    /// Which day is today.
    pub clock: Clock,
    /// The owner.
    pub user_id: Uuid,
}

impl Reader {
    /// Lets `read` look at one snapshot of the user's usage, of which it is told the state. `time_zone` is the one that
    /// was asked for by name. Errors: 422 for a zone that there is none; what `read` fails with; the database's.
    pub async fn in_snapshot<T>(
        &self,
        context: &RequestContext,
        time_zone: Option<&str>,
        read: impl AsyncFnOnce(&mut Tx, RollupState) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[self.user_id]), Mode::Snapshot).await?;
        let outcome = match RollupState::read(&mut tx, self.user_id, &self.clock, time_zone).await {
            Ok(state) => read(&mut tx, state).await,
            Err(problem) => Err(problem),
        };
        let rolled_back = tx.rollback().await;
        let answer = outcome?;
        rolled_back.map(|()| answer)
    }
}
