//! The relay takes events from the outbox and folds the user-days that they touch, in one
//! transaction a round.
//!
//! Consumption and effect commit together, so each event takes effect exactly once. The fold is
//! idempotent besides. Users are in 64 parts, and one relay at a time folds a part in the whole
//! database. Relays of a process share the parts out among themselves. Each takes over a part of
//! another one, of any process, where events have waited for more than a second. The lock of a part
//! belongs to the transaction, so a relay that dies gives it up.
//!
//! An event fails only through its own data. Whatever else goes wrong ends the round and counts
//! against no event. Its parts are then tried one by one, and one that fails alone waits longer each
//! time.

mod backlog;
mod folding;
mod lane_backoff;
mod parts;
mod scan_floor;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use folding::{DataFault, Folded, Poison, fold_apart, heal};
use parts::{FAILURE_PAUSE, LONGEST_FAILURE_PAUSE, Offer, PartStates, Taking};

use crate::kernel::call::{CallOutcome, CallSpan, Place, RequestContext, RequestLogLine};
use crate::kernel::clock::{Clock, doubled, jittered};
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::outbox::{self, Event, Lane, PartLane, PartSet, PerLane, UserPart};
use crate::kernel::usage::relay_notifier::Signal;

/// The key of the advisory lock that is held in shared mode by whoever writes `rollup.*`, and alone by who wants no fold
/// under way: "halfhour" in ASCII. The keys of the parts' locks follow it.
pub const FOLD_LOCK: i64 = 0x6861_6c66_686f_7572;

/// Events in one round, at most. Many posts touch the same days, which are folded once. A large backfill, or many users
/// who change their zone, must not delay live folding.
const AT_MOST: PerLane = PerLane { live: 5000, bulk: 200, whole: 4 };
/// No statement of a round may take longer than this.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// No round may take longer than this: a connection on which nothing comes back any more is given up.
const ROUND_LIMIT: Duration = Duration::from_mins(2);
/// After a round that folded something the relay gathers events for so many times as long as the round took, within these
/// bounds: under load a day is then folded a few times a second, and not after every commit. The first event after a quiet
/// time is folded at once.
const GATHER: u32 = 8;
const SHORTEST_GATHER: Duration = Duration::from_millis(200);
const LONGEST_GATHER: Duration = Duration::from_millis(500);
/// Without a wake the relay looks this often: events of other processes wake nobody here.
const POLL: Duration = Duration::from_secs(1);
/// How soon to look again while other relays fold whatever is due.
const LOCKED_OUT_PAUSE: Duration = Duration::from_millis(50);
/// How long an event waits after its first failure; it doubles up to the longest.
const EVENT_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_EVENT_PAUSE: Duration = Duration::from_mins(10);

/// A consumer of the outbox. Relays are the only ones, and with retention and erasure the only writers of the rollups.
#[derive(Debug)]
pub struct Relay {
    pool: Pool,
    signal: Signal,
    clock: Clock,
    switches: Switches,
    /// Its number in its process, from 0 on.
    number: usize,
    /// The parts that it looks after.
    home: PartSet,
    /// What all relays of the process know of the parts.
    parts: Arc<PartStates>,
}

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Events folded and removed, parked ones included.
    pub consumed: usize,
    /// Events that failed through their own data.
    pub failed: usize,
    /// The batch was full: more may wait.
    pub more: bool,
    /// Other relays were folding whatever is due, so this one did nothing.
    pub locked_out: bool,
    /// The relay is switched off, so it did nothing.
    pub paused: bool,
}

/// How far a round came, for its line and its metrics.
#[derive(Debug, Default)]
struct Trail {
    stage: &'static str,
    /// Parts that have a pause are left alone.
    keeps_pauses: bool,
    span: CallSpan,
    poison: Option<Problem>,
    /// The parts that it took, and those that it left.
    parts: Taking,
    /// What was claimed, parked events included.
    claimed: Vec<Event>,
    folded: Folded,
}

impl Relay {
    /// Folds through `pool`, woken by `signal`; `clock` says which events are due. It looks after all parts.
    pub fn new(pool: Pool, signal: Signal, clock: Clock, switches: Switches) -> Self {
        Self { pool, signal, clock, switches, number: 0, home: PartSet::ALL, parts: Arc::default() }
    }

    /// So many relays of one process, at least one, which share the parts out among themselves; `signal` is for as many.
    pub fn several(pool: &Pool, signal: &Signal, clock: &Clock, switches: &Switches, relays: usize) -> Vec<Self> {
        let parts = Arc::<PartStates>::default();
        let relay = |number| Self {
            number,
            home: PartSet::share(number, relays),
            parts: parts.clone(),
            ..Self::new(pool.clone(), signal.clone(), clock.clone(), switches.clone())
        };
        (0..relays.max(1)).map(relay).collect()
    }

    /// Works until `shutdown`, and one round more, for what was acknowledged last. To be dropped in the middle of a
    /// round loses nothing. The first relay of a process also measures the backlog.
    pub async fn run(&self, shutdown: CancellationToken) {
        let watching = async {
            if self.number == 0 {
                backlog::watch(&self.pool, &self.clock, &shutdown).await;
            }
        };
        tokio::join!(self.work(&shutdown), watching);
    }

    async fn work(&self, shutdown: &CancellationToken) {
        let mut failures = 0_u32;
        loop {
            let last = shutdown.is_cancelled();
            let began = Instant::now();
            let (round, had_parts) = self.counted_round(true).await;
            let lasted = began.elapsed();
            if last {
                return;
            }
            let (pause, listens) = match round {
                Ok(Round { more: true, .. }) => (Duration::ZERO, false),
                Ok(Round { locked_out: true, .. }) => (LOCKED_OUT_PAUSE, false),
                Ok(Round { consumed: 1.., .. }) => (gathering(lasted), false),
                Ok(_) => (POLL, true),
                // The parts wait, and not the relay: other parts may be well.
                Err(_) if had_parts => (FAILURE_PAUSE, false),
                Err(_) => (doubled(FAILURE_PAUSE, failures, LONGEST_FAILURE_PAUSE), false),
            };
            failures = if round.is_err() && !had_parts { failures.saturating_add(1) } else { 0 };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.signal.woken_at(self.number), if listens => {}
                () = tokio::time::sleep(jittered(pause)) => {}
            }
        }
    }

    /// Works until no event is due, or it is switched off: for tests and commands. Errors: what ended a round.
    pub async fn drain(&self) -> Result<(), Problem> {
        loop {
            let round = self.run_round().await?;
            if round.locked_out {
                tokio::time::sleep(jittered(LOCKED_OUT_PAUSE)).await;
            } else if round.paused || round == Round::default() {
                return Ok(());
            }
        }
    }

    /// Claims, folds and consumes one batch, of whichever part. Errors: whatever is no event's fault; then nothing has
    /// changed.
    pub async fn run_round(&self) -> Result<Round, Problem> {
        self.counted_round(false).await.0
    }

    /// One round, of parts that have no pause where it `keeps_pauses`, and whether it had taken parts.
    async fn counted_round(&self, keeps_pauses: bool) -> (Result<Round, Problem>, bool) {
        let (result, had_parts) = if self.switches.is_on(Switch::Relay) {
            self.watched_round(keeps_pauses).await
        } else {
            (Ok(Round { paused: true, ..Round::default() }), false)
        };
        let outcome = match &result {
            Err(_) => "failed",
            Ok(Round { paused: true, .. }) => "paused",
            Ok(Round { locked_out: true, .. }) => "locked_out",
            Ok(Round { failed: 1.., .. }) => "poisoned",
            Ok(Round { consumed: 1.., .. }) => "folded",
            Ok(_) => "idle",
        };
        metrics::counter!("halfhour_relay_rounds_total", "outcome" => outcome).increment(1);
        (result, had_parts)
    }

    async fn watched_round(&self, keeps_pauses: bool) -> (Result<Round, Problem>, bool) {
        let started = Instant::now();
        // Rounds that find nothing leave no span: it begins where events are found whose traces are recorded.
        let context =
            RequestContext { statement_limit: Some(STATEMENT_LIMIT), ..RequestContext::internal(ROUND_LIMIT) }
                .within(self.pool.tracer().undecided());
        let mut trail = Trail { span: context.span.clone(), keeps_pauses, ..Trail::default() };
        let result =
            tokio::time::timeout(ROUND_LIMIT, self.round(&context, &mut trail)).await.unwrap_or_else(|overdue| {
                Err(Problem::new(Code::DeadlineExceeded, "The database did not finish a round in time.")
                    .because(overdue))
            });
        match &result {
            Ok(_) => self.took(&trail, started.elapsed()),
            Err(problem) => {
                let took_too_long = problem.code() == Code::DeadlineExceeded;
                self.parts.failed(&trail.parts.taken, &trail.claimed, took_too_long, self.clock.now());
            }
        }
        let had_parts = !trail.parts.taken.is_empty();
        let outcome = match (&result, &trail.poison) {
            (Err(problem), _) | (Ok(_), Some(problem)) => CallOutcome::Failed(problem),
            (Ok(round), None) if round.consumed > 0 => CallOutcome::Done(200),
            _ => return (result, had_parts),
        };
        let place = Place { function: "relay_round", stage: trail.stage, method: None, route: None, principal: None };
        note_counts(&trail);
        RequestLogLine::new(&context, place, &outcome, started.elapsed()).write();
        (result, had_parts)
    }

    /// After the commit.
    fn took(&self, trail: &Trail, lasted: Duration) {
        let now = self.clock.now();
        self.parts.came_through(&trail.parts, &trail.claimed, now, lasted);
        metrics::counter!("halfhour_folded_user_days_total").increment(trail.folded.user_days);
        for event in trail.folded.events.iter().filter(|event| event.lane == Lane::Live) {
            let age = (now - event.created_at).to_std().unwrap_or_default();
            metrics::histogram!("halfhour_ack_to_fold_seconds").record(age.as_secs_f64());
        }
    }

    async fn round(&self, context: &RequestContext, trail: &mut Trail) -> Result<Round, Problem> {
        trail.stage = "begin";
        let mut tx = self.pool.begin(context, Access::Worker, Mode::WriteSums).await?;
        match self.fold_batch(&mut tx, trail).await {
            Ok(round) if round.consumed + round.failed > 0 => {
                trail.stage = "commit";
                tx.commit().await?;
                trail.stage = "fold";
                Ok(round)
            }
            Ok(round) => tx.rollback().await.map(|()| round),
            Err(problem) => {
                // At once, so that the locks are free; where the connection is lost, it already is.
                let _ = tx.rollback().await;
                Err(problem)
            }
        }
    }

    async fn fold_batch(&self, tx: &mut Tx, trail: &mut Trail) -> Result<Round, Problem> {
        trail.stage = "lock";
        let now = self.clock.now();
        let offers = self.parts.offers(self.home, AT_MOST, now, trail.keeps_pauses);
        let due = store::take_parts(tx, FOLD_LOCK, &offers, now, AT_MOST).await?;
        trail.parts = Taking::of(&offers, &due);
        let Taking { taken, is_any_due, some_wait, .. } = &trail.parts;
        if taken.is_empty() {
            return Ok(Round { locked_out: *is_any_due, ..Round::default() });
        }
        trail.stage = "claim";
        let places: Vec<_> = taken.iter().flat_map(Offer::places).collect();
        let events = outbox::claim_events(tx, now, &places, AT_MOST).await?;
        if events.is_empty() {
            return Ok(Round { more: *some_wait, ..Round::default() });
        }
        let more = *some_wait || is_full(&events, &places);
        trail.span.begin("relay_round", events.iter().filter_map(|event| event.trace));
        trail.claimed = events;

        trail.stage = "fold";
        let poisons = fold_apart(tx, &trail.claimed, &mut trail.folded).await?;
        // Parked events of users of whom something was folded, near the days of that, may be foldable now, too.
        let rests = |lane| trail.parts.taken.iter().filter(|offer| offer.rests(lane)).map(|offer| offer.part).collect();
        let parked = outbox::claim_parked_events(tx, &trail.folded.events, rests).await?;
        trail.span.link_to_causes(parked.iter().filter_map(|event| event.trace));
        trail.claimed.extend_from_slice(&parked);
        heal(tx, &parked, &mut trail.folded).await?;
        trail.stage = "consume";
        outbox::consume_events(tx, &trail.folded.events).await?;
        let mut round = Round { consumed: trail.folded.events.len(), more, ..Round::default() };
        for Poison { event, fault: DataFault { code, problem } } in poisons {
            outbox::fail_event(tx, &event, &code, now, retry_at(&event, now)).await?;
            trail.poison = Some(problem);
            round.failed += 1;
        }
        Ok(round)
    }
}

/// How long events are gathered after a round that lasted so long.
fn gathering(lasted: Duration) -> Duration {
    (lasted * GATHER).clamp(SHORTEST_GATHER, LONGEST_GATHER)
}

/// Waits for the lock whose holder alone writes a user's rollup, and holds it until the transaction ends.
pub(super) async fn take_fold_lock(tx: &mut Tx, user_id: Uuid) -> Result<(), Problem> {
    store::take_fold_lock(tx, FOLD_LOCK, UserPart::of(user_id)).await
}

/// Whether a lane gave as many events as a round may have, or one that rested in a part as many as it may give there.
fn is_full(events: &[Event], places: &[PartLane]) -> bool {
    let reaches = |count: usize, at_most| i64::try_from(count).is_ok_and(|count| count >= at_most);
    let of_lane = |lane| events.iter().filter(move |event| event.lane == lane);
    let of_place = |place: &PartLane| {
        let part = place.part;
        of_lane(place.lane).filter(move |event| UserPart::of(event.user_id) == part).count()
    };
    let mut fewer = places.iter().filter(|place| place.at_most < AT_MOST.of(place.lane));
    Lane::ALL.into_iter().any(|lane| reaches(of_lane(lane).count(), AT_MOST.of(lane)))
        || fewer.any(|place| reaches(of_place(place), place.at_most))
}

fn note_counts(trail: &Trail) {
    trail.span.note("halfhour.relay.events", i64::try_from(trail.claimed.len()).unwrap_or(i64::MAX));
    trail.span.note("halfhour.relay.user_days", i64::try_from(trail.folded.user_days).unwrap_or(i64::MAX));
}

fn retry_at(event: &Event, now: DateTime<Utc>) -> DateTime<Utc> {
    let attempts = u32::try_from(event.attempts).unwrap_or(0);
    let pause = jittered(doubled(EVENT_PAUSE, attempts, LONGEST_EVENT_PAUSE));
    now + TimeDelta::from_std(pause).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_relay_gathers_longer_but_no_longer_than_half_a_second() {
        let gathered =
            [0, 1, 25, 40, 62, 63, 10_000].map(|lasted| gathering(Duration::from_millis(lasted)).as_millis());
        assert_eq!(gathered, [200, 200, 200, 320, 496, 500, 500]);
    }
}
