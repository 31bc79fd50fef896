//! The worker: leases a job, takes step after step, and ends the phase.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::job::{Action, Job, State};
use super::super::jobs::Backfills;
use super::super::reprice;
use super::super::store as jobs;
use super::findings::{Verify, findings};
use super::store::{self, Advance};
use crate::kernel::call::{CallOutcome, Place, RequestContext, RequestLogLine};
use crate::kernel::clock::{doubled, jittered};
use crate::kernel::database::{Access, Mode, Tx};
use crate::kernel::operations::switches::{Switch, Switches};
use crate::kernel::problem::Problem;
use crate::kernel::usage::relay_notifier::Signal;

/// A step may take this long, well within its lease.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(12);
/// Rows of a worker's first step. Later ones have twice or half as many, so that a step takes about as long as
/// `STEP_TIME`: much shorter ones pay for the commit; much longer ones make a cancellation wait, and trackers for what a
/// commit has to write.
pub(super) const FIRST_ROWS: usize = 500;
pub(super) const MOST_ROWS: usize = 2_000;
pub(super) const STEP_TIME: Duration = Duration::from_millis(40);
/// With more events of backfills waiting than this, a job waits for the relay.
pub(super) const MAX_WAITING_EVENTS: i64 = 2_000;
/// How often to look for work that other processes were given.
const POLL: Duration = Duration::from_secs(1);
/// How often to look whether events are folded.
const FOLD_PAUSE: Duration = Duration::from_millis(100);
/// The pause after the first failed step; it doubles up to the longest.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_FAILURE_PAUSE: Duration = Duration::from_secs(10);

/// Carries jobs out.
#[derive(Clone, Debug)]
pub struct Worker {
    pub(super) backfills: Backfills,
    switches: Switches,
    /// Wakes the relay of this process.
    relay: Signal,
    pub(super) verify: Verify,
}

/// A job that this worker alone works on, as it knows it.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) job: Job,
    token: Uuid,
    /// Rows of the next step.
    pub(super) rows: usize,
}

/// What became of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is more to do.
    Goes,
    /// Others have to do something first.
    Waits,
    /// The phase has ended.
    Ended,
    /// Somebody else has the job, or nobody may go on.
    Lost,
}

impl Worker {
    /// Works while `switches` allow it; wakes `relay` when there are events.
    pub fn new(backfills: Backfills, switches: Switches, relay: Signal, verify: Verify) -> Self {
        Self { backfills, switches, relay, verify }
    }

    /// Works until `stop`, and gives its lease back. To be dropped in the middle of a step loses nothing but time.
    pub async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let lease = match self.lease(None).await {
                Ok(lease) => lease,
                Err(problem) => {
                    tracing::warn!(error = problem.source_chain(), "jobs could not be looked for");
                    None
                }
            };
            if let Some(lease) = lease {
                self.work(lease, &stop).await;
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.backfills.wake.woken() => {}
                () = tokio::time::sleep(jittered(POLL)) => {}
            }
        }
    }

    /// Works on one job, whenever nobody else does, until it is at its end: for commands. Errors: the database's, and
    /// 404.
    pub async fn run_job(&self, job_id: Uuid, stop: &CancellationToken) -> Result<Job, Problem> {
        loop {
            let job = self.backfills.find(&RequestContext::internal(STEP_LIMIT), job_id).await?.job;
            if !job.state.is_at_work() || stop.is_cancelled() {
                return Ok(job);
            }
            match self.lease(Some(job_id)).await? {
                Some(lease) => self.work(lease, stop).await,
                None => tokio::time::sleep(FOLD_PAUSE).await,
            }
        }
    }

    /// Takes every step that can be taken now, of all jobs: for tests. Errors: what a step failed with.
    pub async fn run_until_idle(&self) -> Result<(), Problem> {
        let mut waiting = Vec::new();
        while let Some(mut lease) = self.lease(None).await? {
            loop {
                match self.step(&mut lease).await? {
                    Step::Goes => {}
                    Step::Waits => break waiting.push(lease),
                    Step::Ended | Step::Lost => break,
                }
            }
        }
        for lease in waiting {
            self.release(&lease).await?;
        }
        Ok(())
    }

    /// Takes one step of one job: for tests. False where there is none. Errors: what it failed with.
    pub async fn run_step(&self) -> Result<bool, Problem> {
        let Some(mut lease) = self.lease(None).await? else { return Ok(false) };
        let step = self.step(&mut lease).await?;
        self.release(&lease).await?;
        Ok(step != Step::Lost)
    }

    /// Errors: the database's.
    async fn lease(&self, job_id: Option<Uuid>) -> Result<Option<Lease>, Problem> {
        if !self.switches.is_on(Switch::Backfill) {
            return Ok(None);
        }
        let token = Uuid::now_v7();
        let mut tx = self.begin(&RequestContext::internal(STEP_LIMIT)).await?;
        let job = match store::take_lease(&mut tx, token, job_id).await? {
            Some(job_id) => jobs::read_jobs(&mut tx, Some(job_id), None, 1, None).await?.into_iter().next(),
            None => None,
        };
        tx.commit().await?;
        Ok(job.map(|job| Lease { job, token, rows: FIRST_ROWS }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), Problem> {
        let mut tx = self.begin(&RequestContext::internal(STEP_LIMIT)).await?;
        store::release_lease(&mut tx, lease.job.job_id, lease.token).await?;
        tx.commit().await
    }

    /// Takes steps until the phase ends, the lease is lost, the switch is thrown or the server stops.
    async fn work(&self, mut lease: Lease, stop: &CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() && self.switches.is_on(Switch::Backfill) {
            let outcome = self.step(&mut lease).await;
            failures = if outcome.is_err() { failures.saturating_add(1) } else { 0 };
            let pause = match outcome {
                Ok(Step::Goes) => continue,
                Ok(Step::Ended | Step::Lost) => return,
                Ok(Step::Waits) => FOLD_PAUSE,
                Err(_) => doubled(FAILURE_PAUSE, failures - 1, LONGEST_FAILURE_PAUSE),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(jittered(pause)) => {}
            }
        }
        if let Err(problem) = self.release(&lease).await {
            tracing::warn!(error = problem.source_chain(), "a lease was not given back; it runs out by itself");
        }
    }

    /// One step, with its line. Errors: whatever is no row's fault; then nothing has changed.
    async fn step(&self, lease: &mut Lease) -> Result<Step, Problem> {
        let started = Instant::now();
        let context = RequestContext::step("backfill_step", self.backfills.pool.tracer(), STEP_LIMIT);
        let stage = lease.job.state.as_str();
        let mut result = match lease.job.action {
            Action::Import | Action::Merge => self.step_rows(&context, lease).await,
            Action::Replay => self.step_replay(&context, lease).await,
            Action::Verify => self.step_verify(&context, lease).await,
            Action::Reprice => self.step_reprice(&context, lease).await,
        };
        if result.is_err() {
            // It may have been committed all the same: the job says.
            match self.backfills.find(&RequestContext::internal(STEP_LIMIT), lease.job.job_id).await {
                Ok(shown) => lease.job = shown.job,
                Err(problem) => result = Err(problem),
            }
        }
        self.relay.wake();
        let stepped = match &result {
            Ok(Step::Goes | Step::Ended) => "done",
            Ok(Step::Waits) => "waiting",
            Ok(Step::Lost) => "lost",
            Err(_) => "failed",
        };
        metrics::counter!("halfhour_backfill_steps_total", "outcome" => stepped).increment(1);
        let outcome = match &result {
            Ok(Step::Goes | Step::Ended) => CallOutcome::Done(200),
            Ok(Step::Waits | Step::Lost) => return result,
            Err(problem) => CallOutcome::Failed(problem),
        };
        let place = Place { function: "backfill_step", stage, method: None, route: None, principal: None };
        RequestLogLine::new(&context, place, &outcome, started.elapsed()).write();
        result
    }

    pub(super) async fn begin(&self, context: &RequestContext) -> Result<Tx, Problem> {
        self.backfills.pool.begin(context, Access::Worker, Mode::ReadWrite).await
    }

    /// A step's transaction; `None` where this worker may not go on.
    pub(super) async fn begin_step(&self, context: &RequestContext, lease: &Lease) -> Result<Option<Tx>, Problem> {
        let mut tx = self.begin(context).await?;
        if store::fence(&mut tx, &lease.job, lease.token).await? {
            return Ok(Some(tx));
        }
        tx.rollback().await?;
        Ok(None)
    }

    /// Commits a step that has stepped over something.
    pub(super) async fn commit_step(&self, mut tx: Tx, lease: &mut Lease, step: Advance) -> Result<Step, Problem> {
        store::advance(&mut tx, lease.job.job_id, &step).await?;
        // A database that dies forgets the last steps together with the cursor.
        tx.commit_asynchronously().await?;
        lease.job.done += step.rows;
        lease.job.cursor = step.cursor;
        lease.job.poisoned += step.poisoned;
        lease.job.skipped += step.skipped;
        lease.job.drift = step.drift.or_else(|| lease.job.drift.take());
        Ok(Step::Goes)
    }

    /// Ends the phase once the job's events are folded.
    pub(super) async fn finish(&self, mut tx: Tx, lease: &Lease) -> Result<Step, Problem> {
        let job = &lease.job;
        let (unfolded, parked) = store::count_own_events(&mut tx, job.job_id).await?;
        if unfolded > parked {
            // The lease goes on.
            tx.commit().await?;
            return Ok(Step::Waits);
        }
        let is_superseded = match &job.repricing {
            Some(repricing) => reprice::is_superseded(&mut tx, repricing, job.state == State::RollingBack).await?,
            None => false,
        };
        let (state, failure) = match job.state {
            _ if parked > 0 => (State::Failed, Some("events_parked")),
            _ if is_superseded => (State::Failed, Some("superseded")),
            State::RollingBack => (State::RolledBack, None),
            _ if job.poisoned + job.skipped > 0 || findings(job)?.not_compared > 0 => {
                (State::Failed, Some("incomplete"))
            }
            _ => (State::Succeeded, None),
        };
        store::finish_job(&mut tx, job.job_id, state, failure).await?;
        tx.commit().await?;
        Ok(Step::Ended)
    }
}
