//! The relay takes events from the outbox and folds the user-days that they touch, in one
//! transaction a round.
//!
//! Consumption and effect commit together, so each event takes effect exactly once. The fold is
//! idempotent besides. One relay folds at a time in the whole database. The lock belongs to the
//! transaction, so a relay that dies gives it up.
//!
//! An event fails only through its own data. Whatever else goes wrong ends the round, counts
//! against no event, and makes the relay wait longer each time.

mod backlog;
mod lane_backoff;
mod scan_floor;
mod store;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use lane_backoff::LaneBackoff;
use scan_floor::ScanFloor;

use crate::kernel::call::{CallOutcome, CallSpan, Place, RequestContext, RequestLogLine};
use crate::kernel::clock::{Clock, doubled, jittered};
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::outbox::{self, Event, Lane, PerLane};
use crate::kernel::usage::relay_notifier::Signal;

/// The key of the advisory lock whose holder alone writes `rollup.*`: "halfhour" in ASCII.
pub const FOLD_LOCK: i64 = 0x6861_6c66_686f_7572;

/// Events in one round, at most. Many posts touch the same days, which are folded once. A large backfill, or many users
/// who change their zone, must not delay live folding.
const AT_MOST: PerLane = PerLane { live: 5000, bulk: 200, whole: 4 };
/// No statement of a round may take longer than this.
const STATEMENT_LIMIT: Duration = Duration::from_secs(30);
/// No round may take longer than this: a connection on which nothing comes back any more is given up.
const ROUND_LIMIT: Duration = Duration::from_mins(2);
/// After a round that folded something the relay gathers events for this long: under load a day is then folded a few
/// times a second, and not after every commit. The first event after a quiet time is folded at once.
const GATHER: Duration = Duration::from_millis(200);
/// Without a wake the relay looks this often: events of other processes wake nobody here.
const POLL: Duration = Duration::from_secs(1);
/// How soon to look again while another relay folds.
const LOCKED_OUT_PAUSE: Duration = Duration::from_millis(50);
/// The pause after the first failed round; it doubles up to the longest.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// How long an event waits after its first failure; it doubles up to the longest.
const EVENT_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_EVENT_PAUSE: Duration = Duration::from_mins(10);

/// The only consumer of the outbox, and with it the only writer of the rollups.
#[derive(Debug)]
pub struct Relay {
    pool: Pool,
    signal: Signal,
    clock: Clock,
    switches: Switches,
    scan_floor: Mutex<ScanFloor>,
    lane_backoff: Mutex<LaneBackoff>,
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
    /// Another relay was folding, so this one did nothing.
    pub locked_out: bool,
    /// The relay is switched off, so it did nothing.
    pub paused: bool,
}

/// How far a round came, for its line and its metrics.
#[derive(Debug, Default)]
struct Trail {
    stage: &'static str,
    span: CallSpan,
    poison: Option<Problem>,
    /// How many events of each lane might be claimed.
    allowed: PerLane,
    /// What was claimed, parked events included.
    claimed: Vec<Event>,
    folded: Folded,
}

/// What a round folded.
#[derive(Debug, Default)]
struct Folded {
    events: Vec<Event>,
    user_days: u64,
}

/// An event that fails through its own data.
#[derive(Debug)]
struct Poison {
    event: Event,
    fault: Fault,
}

/// What is wrong with the data of events.
#[derive(Debug)]
struct Fault {
    /// SQLSTATE and constraint, never row data.
    code: String,
    problem: Problem,
}

impl Relay {
    /// Folds through `pool`, woken by `signal`; `clock` says which events are due.
    pub fn new(pool: Pool, signal: Signal, clock: Clock, switches: Switches) -> Self {
        Self { pool, signal, clock, switches, scan_floor: Mutex::default(), lane_backoff: Mutex::default() }
    }

    /// Works until `shutdown`, and one round more, for what was acknowledged last. To be dropped in the middle of a
    /// round loses nothing.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(self.work(&shutdown), backlog::watch(&self.pool, &self.clock, &shutdown));
    }

    async fn work(&self, shutdown: &CancellationToken) {
        let mut failures = 0_u32;
        loop {
            let last = shutdown.is_cancelled();
            let round = self.run_round().await;
            if last {
                return;
            }
            let (pause, listens) = match round {
                Ok(Round { more: true, .. }) => (Duration::ZERO, false),
                Ok(Round { locked_out: true, .. }) => (LOCKED_OUT_PAUSE, false),
                Ok(Round { consumed: 1.., .. }) => (GATHER, false),
                Ok(_) => (POLL, true),
                Err(_) => (doubled(FAILURE_PAUSE, failures, LONGEST_FAILURE_PAUSE), false),
            };
            failures = if round.is_err() { failures.saturating_add(1) } else { 0 };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.signal.woken(), if listens => {}
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

    /// Claims, folds and consumes one batch. Errors: whatever is no event's fault; then nothing has changed.
    pub async fn run_round(&self) -> Result<Round, Problem> {
        let result = if self.switches.is_on(Switch::Relay) {
            self.watched_round().await
        } else {
            Ok(Round { paused: true, ..Round::default() })
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
        result
    }

    async fn watched_round(&self) -> Result<Round, Problem> {
        let started = Instant::now();
        // Rounds that find nothing leave no span: it begins where events are found whose traces are recorded.
        let context =
            RequestContext { statement_limit: Some(STATEMENT_LIMIT), ..RequestContext::internal(ROUND_LIMIT) }
                .within(self.pool.tracer().undecided());
        let mut trail = Trail { span: context.span.clone(), ..Trail::default() };
        let result =
            tokio::time::timeout(ROUND_LIMIT, self.round(&context, &mut trail)).await.unwrap_or_else(|overdue| {
                Err(Problem::new(Code::DeadlineExceeded, "The database did not finish a round in time.")
                    .because(overdue))
            });
        match &result {
            Ok(_) => self.took(&trail),
            Err(problem) if problem.code() == Code::DeadlineExceeded => {
                self.lane_backoff().took_too_long(&trail.claimed, self.clock.now());
            }
            Err(_) => {}
        }
        let outcome = match (&result, &trail.poison) {
            (Err(problem), _) | (Ok(_), Some(problem)) => CallOutcome::Failed(problem),
            (Ok(round), None) if round.consumed > 0 => CallOutcome::Done(200),
            _ => return result,
        };
        let place = Place { function: "relay_round", stage: trail.stage, method: None, route: None, principal: None };
        note_counts(&trail);
        RequestLogLine::new(&context, place, &outcome, started.elapsed()).write();
        result
    }

    /// After the commit.
    fn took(&self, trail: &Trail) {
        let now = self.clock.now();
        if !trail.claimed.is_empty() {
            self.scan_floor().took(&trail.claimed, now);
        }
        self.lane_backoff().came_through(trail.allowed);
        metrics::counter!("halfhour_folded_user_days_total").increment(trail.folded.user_days);
        for event in trail.folded.events.iter().filter(|event| event.lane == Lane::Live) {
            let age = (now - event.created_at).to_std().unwrap_or_default();
            metrics::histogram!("halfhour_ack_to_fold_seconds").record(age.as_secs_f64());
        }
    }

    fn scan_floor(&self) -> MutexGuard<'_, ScanFloor> {
        self.scan_floor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lane_backoff(&self) -> MutexGuard<'_, LaneBackoff> {
        self.lane_backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn round(&self, context: &RequestContext, trail: &mut Trail) -> Result<Round, Problem> {
        trail.stage = "begin";
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        match self.fold_batch(&mut tx, trail).await {
            Ok(round) if round.consumed + round.failed > 0 => {
                trail.stage = "commit";
                tx.commit().await?;
                trail.stage = "fold";
                Ok(round)
            }
            Ok(round) => tx.rollback().await.map(|()| round),
            Err(problem) => {
                // At once, so that the lock is free; where the connection is lost, it already is.
                let _ = tx.rollback().await;
                Err(problem)
            }
        }
    }

    async fn fold_batch(&self, tx: &mut Tx, trail: &mut Trail) -> Result<Round, Problem> {
        trail.stage = "lock";
        if !store::try_fold_lock(tx, FOLD_LOCK).await? {
            return Ok(Round { locked_out: true, ..Round::default() });
        }
        trail.stage = "claim";
        let now = self.clock.now();
        let from = self.scan_floor().scan_from(now);
        trail.allowed = self.lane_backoff().allows(AT_MOST, now);
        let events = outbox::claim_events(tx, now, trail.allowed, from).await?;
        if events.is_empty() {
            return Ok(Round::default());
        }
        let full = |lane: Lane| {
            let claimed = events.iter().filter(|event| event.lane == lane).count();
            i64::try_from(claimed).is_ok_and(|claimed| claimed > 0 && claimed >= trail.allowed.of(lane))
        };
        let more = Lane::ALL.into_iter().any(full);
        trail.span.begin("relay_round", events.iter().filter_map(|event| event.trace));
        trail.claimed = events;

        trail.stage = "fold";
        let poisons = fold_apart(tx, &trail.claimed, &mut trail.folded).await?;
        heal(tx, trail).await?;
        trail.stage = "consume";
        outbox::consume_events(tx, &trail.folded.events).await?;
        let mut round = Round { consumed: trail.folded.events.len(), more, ..Round::default() };
        for Poison { event, fault: Fault { code, problem } } in poisons {
            outbox::fail_event(tx, &event, &code, now, retry_at(&event, now)).await?;
            trail.poison = Some(problem);
            round.failed += 1;
        }
        Ok(round)
    }
}

/// Waits for the lock whose holder alone writes `rollup.*`, and holds it until the transaction ends.
pub(super) async fn take_fold_lock(tx: &mut Tx) -> Result<(), Problem> {
    store::take_fold_lock(tx, FOLD_LOCK).await
}

/// Folds the events, all at once where their data allows it, else by halves until each culprit stands alone. Errors:
/// whatever is no event's fault.
async fn fold_apart(tx: &mut Tx, events: &[Event], folded: &mut Folded) -> Result<Vec<Poison>, Problem> {
    let mut poisons = Vec::new();
    let mut waiting = vec![events];
    while let Some(batch) = waiting.pop() {
        let Some(fault) = fold_together(tx, batch, folded).await? else { continue };
        if let [event] = batch {
            poisons.push(Poison { event: event.clone(), fault });
        } else {
            let (first, second) = batch.split_at(batch.len() / 2);
            waiting.extend([second, first]);
        }
    }
    Ok(poisons)
}

/// Folds the parked events of users of whom something was folded, near the days of that. Each user's in one attempt:
/// what still fails stays parked, however much it is, and holds up nobody. Errors: whatever is no event's fault.
async fn heal(tx: &mut Tx, trail: &mut Trail) -> Result<(), Problem> {
    let parked = outbox::claim_parked_events(tx, &trail.folded.events, trail.allowed).await?;
    trail.span.link_to_causes(parked.iter().filter_map(|event| event.trace));
    trail.claimed.extend_from_slice(&parked);
    for of_user in parked.chunk_by(|one, next| one.user_id == next.user_id) {
        // Its fault is known since it was parked.
        let _ = fold_together(tx, of_user, &mut trail.folded).await?;
    }
    Ok(())
}

/// Folds the events in one statement, or changes nothing and says what is wrong with their data. Errors: whatever is no
/// event's fault.
async fn fold_together(tx: &mut Tx, events: &[Event], folded: &mut Folded) -> Result<Option<Fault>, Problem> {
    tx.savepoint().await?;
    let error = match store::fold_events(tx, events).await {
        Ok(user_days) => {
            tx.release_savepoint().await?;
            folded.events.extend_from_slice(events);
            folded.user_days += user_days;
            return Ok(None);
        }
        Err(error) => error,
    };
    let Some(code) = store::event_fault(&error) else {
        return Err(error.into());
    };
    tx.rollback_to_savepoint().await?;
    Ok(Some(Fault { code, problem: error.into() }))
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
