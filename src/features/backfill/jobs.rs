//! What operators do with jobs, and viewers with their merges, over HTTP and by command: each act is one transaction, and
//! written into the audit in it.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use super::job::{Action, Exception, ExceptionKind, Job, State};
use super::merge;
use super::pairing::PlanRow;
use super::reprice;
use super::repricing::PriceDoors;
use super::store::{self, RowPosition};
use crate::kernel::access::Actor;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Tx};
use crate::kernel::idempotency::{Once, Unexecuted};
use crate::kernel::operations::audit::{self, Act};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::relay_notifier::Signal;

/// Stale rows are counted up to this many.
const COUNTED: i64 = 1_000;
/// A job says so many of the rows that its rollback kept.
const LISTED: i64 = 100;

/// The jobs of one installation.
#[derive(Clone, Debug)]
pub struct Backfills {
    pub(super) pool: Pool,
    pub(super) clock: Clock,
    /// Wakes the worker of this process.
    pub(super) wake: Signal,
    /// The longest window of an import, in days.
    pub(super) max_days: u32,
    /// What reprices need of other slices.
    pub(super) prices: PriceDoors,
    /// The user whose merges are all that can be seen; `None` for every job.
    pub(super) merges_of: Option<Uuid>,
}

/// A job with what its rollback kept.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The job.
    pub job: Job,
    /// When it was looked at.
    pub at: DateTime<Utc>,
    /// The first hundred rows that its rollback left as they are.
    pub kept: Vec<Exception>,
}

/// What an operator does to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobChange {
    /// Carry the plan out.
    Execute,
    /// Stop, or never begin.
    Cancel,
    /// Take it back.
    Rollback,
}

impl JobChange {
    const fn action(self) -> &'static str {
        match self {
            Self::Execute => "backfill.execute",
            Self::Cancel => "backfill.cancel",
            Self::Rollback => "backfill.rollback",
        }
    }

    const fn wants(self) -> &'static str {
        match self {
            Self::Execute => "only a planned job can be executed",
            Self::Cancel => "only a planning, planned or running job can be cancelled",
            Self::Rollback => "only a job that has ended can be rolled back",
        }
    }

    /// Whether it can be done to a job in that state.
    const fn applies_to(self, state: State) -> bool {
        match self {
            Self::Execute => matches!(state, State::Planned),
            Self::Cancel => matches!(state, State::Planning | State::Planned | State::Running),
            Self::Rollback => {
                matches!(state, State::Succeeded | State::Failed | State::Cancelled | State::RolledBack)
            }
        }
    }
}

impl Job {
    /// Whether that can be done with it as it is, as far as it says itself: others may have come first.
    pub const fn may(&self, change: JobChange) -> bool {
        let can_be_taken_back =
            self.action.can_be_taken_back() && self.executed_at.is_some() && self.purged_at.is_none();
        change.applies_to(self.state) && (!matches!(change, JobChange::Rollback) || can_be_taken_back)
    }
}

impl Backfills {
    /// Jobs through `pool`; a job that is handed to the workers wakes whoever waits for `wake`.
    pub fn new(pool: Pool, clock: Clock, wake: Signal, max_days: u32, prices: PriceDoors) -> Self {
        Self { pool, clock, wake, max_days, prices, merges_of: None }
    }

    /// The merges of one user, as if there were no other jobs: what a viewer may see and change.
    #[must_use]
    pub fn merges_of(self, user_id: Uuid) -> Self {
        Self { merges_of: Some(user_id), ..self }
    }

    /// How far a job has come is judged by this clock.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// One job. Errors: 404.
    pub async fn find(&self, context: &RequestContext, job_id: Uuid) -> Result<Shown, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let shown = self.show(&mut tx, job_id).await?;
        tx.rollback().await?;
        Ok(shown)
    }

    /// Jobs, newest first, made before another.
    pub async fn list(&self, context: &RequestContext, before: Option<Uuid>, limit: i64) -> Result<Vec<Job>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let jobs = store::read_jobs(&mut tx, None, before, limit, self.merges_of).await?;
        tx.rollback().await?;
        Ok(jobs)
    }

    /// A page of a job's plan. Errors: 404.
    pub async fn rows(
        &self,
        context: &RequestContext,
        job_id: Uuid,
        after: Option<&RowPosition>,
        limit: i64,
    ) -> Result<Vec<PlanRow>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        read_job(&mut tx, job_id, self.merges_of).await?;
        let rows = store::list_plan_rows(&mut tx, job_id, after, limit).await?;
        tx.rollback().await?;
        Ok(rows)
    }

    /// A page of what did not go as planned. Errors: 404.
    pub async fn exceptions(
        &self,
        context: &RequestContext,
        job_id: Uuid,
        kind: Option<ExceptionKind>,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, Exception)>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        read_job(&mut tx, job_id, self.merges_of).await?;
        let found = store::list_exceptions(&mut tx, job_id, kind, after, limit).await?;
        tx.rollback().await?;
        Ok(found)
    }

    /// Executes, cancels or rolls a job back, once: it is handed to the workers, or taken from them.
    ///
    /// `version` is the one that the operator has read; `None` takes the present one, for commands. Errors: 404; 412 for
    /// another version; 409 where the job is in no state for it, `plan_stale` where what the plan replaces has
    /// changed, and where newer corrections have to be taken back first; those of [`Once::claim`].
    pub async fn change(
        &self,
        context: &RequestContext,
        actor: Actor,
        job_id: Uuid,
        version: Option<i64>,
        change: JobChange,
        once: Once<Shown>,
    ) -> Result<Shown, Unexecuted> {
        let tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let mut tx = once.claim(tx, context).await?;
        // In a statement of its own: what is read after it is as of after the worker's last step.
        if !store::lock_job(&mut tx, job_id).await? {
            tx.rollback().await?;
            return Err(not_found().into());
        }
        let job = match read_job(&mut tx, job_id, self.merges_of).await {
            Ok(job) => job,
            Err(refusal) => return Err(tx.rollback().await.err().unwrap_or(refusal).into()),
        };
        if let Err(refusal) = self.carry_out(&mut tx, &job, version, change).await {
            tx.rollback().await?;
            return Err(refusal.into());
        }
        let details = json!({ "state": job.state.as_str(), "version": job.version, "done": job.done });
        let subject = job_id.to_string();
        let act = Act { action: change.action(), subject: &subject, reason: Some(&job.reason), details: &details };
        audit::record_act(&mut tx, context.request_id, actor, act).await?;
        let shown = self.show(&mut tx, job_id).await?;
        once.commit(tx, context, &shown).await?;
        self.wake.wake();
        Ok(shown)
    }

    async fn carry_out(&self, tx: &mut Tx, job: &Job, version: Option<i64>, change: JobChange) -> Result<(), Problem> {
        if version.is_some_and(|version| version != job.version) {
            let detail = format!("The job has version {} and is {}.", job.version, job.state.as_str());
            return Err(Problem::new(Code::VersionMismatch, detail));
        }
        if !change.applies_to(job.state) {
            return Err(conflict(format!("The job is {}; {}.", job.state.as_str(), change.wants())));
        }
        match change {
            JobChange::Execute => self.execute(tx, job).await,
            JobChange::Cancel => store::cancel_job(tx, job.job_id).await,
            JobChange::Rollback => self.roll_back(tx, job).await,
        }
    }

    async fn show(&self, tx: &mut Tx, job_id: Uuid) -> Result<Shown, Problem> {
        let job = read_job(tx, job_id, self.merges_of).await?;
        let kept = match job.rollbacks {
            0 => Vec::new(),
            _ => store::list_exceptions(tx, job_id, Some(ExceptionKind::Kept), 0, LISTED).await?,
        };
        let kept = kept.into_iter().map(|(_, exception)| exception).collect();
        Ok(Shown { job, at: self.clock.now(), kept })
    }

    async fn execute(&self, tx: &mut Tx, job: &Job) -> Result<(), Problem> {
        refuse_purged(job)?;
        // Before anything is counted: a merge keeps writers out.
        if let Some(merge) = &job.merge {
            merge::prepare(tx, job, merge).await?;
        }
        if let Some(repricing) = &job.repricing {
            reprice::begin(tx, &self.prices, repricing).await?;
        }
        let moved = match job.action {
            Action::Import | Action::Merge => store::count_moved_rows(tx, job.job_id, COUNTED).await?,
            Action::Replay | Action::Verify | Action::Reprice => 0,
        };
        if moved > 0 {
            let (many, of) = (if moved == COUNTED { "at least " } else { "" }, job.total);
            let detail =
                format!("Of {of} rows, {many}{moved} replace something else by now than when they were planned.");
            return Err(Problem::new(Code::PlanStale, detail));
        }
        let executed_at = match &job.merge {
            Some(merge) => {
                // Later than every deletion before it.
                let executed_at = self.clock.stamp();
                merge::begin(tx, job, merge, executed_at).await?;
                executed_at
            }
            None => self.clock.now(),
        };
        store::begin_execution(tx, job.job_id, executed_at).await
    }

    async fn roll_back(&self, tx: &mut Tx, job: &Job) -> Result<(), Problem> {
        if !job.action.can_be_taken_back() || job.executed_at.is_none() {
            let detail = "There is nothing to take back: only an import, a merge or a reprice that was executed changes anything.";
            return Err(conflict(detail));
        }
        refuse_purged(job)?;
        let newer = store::newer_corrections(tx, job.job_id).await?;
        if !newer.is_empty() {
            let newer: Vec<String> = newer.iter().map(Uuid::to_string).collect();
            let detail =
                format!("Newer jobs have corrected its corrections; roll these back first: {}.", newer.join(", "));
            return Err(conflict(detail));
        }
        if let Some(merge) = &job.merge {
            merge::take_back(tx, job, merge).await?;
        }
        if let Some(repricing) = &job.repricing {
            reprice::take_back(tx, &self.prices, repricing).await?;
        }
        store::begin_rollback(tx, job.job_id).await
    }
}

fn refuse_purged(job: &Job) -> Result<(), Problem> {
    match job.purged_at {
        Some(_) => Err(conflict("Its rows were removed 30 days after it ended; make a new plan.")),
        None => Ok(()),
    }
}

/// 404: there is no such job.
pub fn not_found() -> Problem {
    Problem::new(Code::NotFound, "There is no such job.")
}

fn conflict(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Code::Conflict, detail)
}

/// One job; of a viewer only one of its merges. Errors: 404.
pub async fn read_job(tx: &mut Tx, job_id: Uuid, merges_of: Option<Uuid>) -> Result<Job, Problem> {
    store::read_jobs(tx, Some(job_id), None, 1, merges_of).await?.into_iter().next().ok_or_else(not_found)
}
