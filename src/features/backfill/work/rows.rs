//! Steps over the rows of an import, or the pairs of a merge: forth and back.

use std::time::{Duration, Instant};

use super::super::job::{Cursor, Exception, ExceptionKind, Job, State};
use super::super::store::{RowPosition, insert_exceptions, list_plan_rows};
use super::pairs;
use super::store::{self, Advance};
use super::worker::{FIRST_ROWS, Lease, MAX_WAITING_EVENTS, MOST_ROWS, STEP_TIME, Step, Worker};
use crate::kernel::bucket::BucketKey;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Tx, is_data_fault, is_lock_timeout};
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::corrections::{Corrected, Correcting, Correction, correct_in, restore_in};
use crate::kernel::usage::writer::moves::Move;

/// A step that holds what a tracker's post waits for, and waits for what that post holds, gives way after so long.
const PATIENCE: Duration = Duration::from_millis(200);

/// What a step is to take.
enum Batch {
    /// Rows of an import.
    Rows(Vec<Correction>),
    /// Pairs of a merge.
    Pairs(Vec<Move>),
}

impl Batch {
    /// The next ones behind the job's cursor.
    async fn next(tx: &mut Tx, job: &Job, limit: i64) -> Result<Self, Problem> {
        let after = after(&job.cursor);
        if let Some(merge) = &job.merge {
            let from_device_id = merge.order.from_device_id;
            return store::list_pairs(tx, job.job_id, from_device_id, after.as_ref(), limit).await.map(Self::Pairs);
        }
        let rows = list_plan_rows(tx, job.job_id, after.as_ref(), limit).await?;
        Ok(Self::Rows(rows.into_iter().map(|planned| planned.row).collect()))
    }

    /// By what the plan has them in order.
    fn keys(&self) -> Vec<&BucketKey> {
        match self {
            Self::Rows(rows) => rows.iter().map(|row| &row.key).collect(),
            Self::Pairs(pairs) => pairs.iter().map(|pair| &pair.key).collect(),
        }
    }
}

/// What became of a step's rows.
enum Rows {
    /// Stepped over, with what did not go as planned.
    Taken(Vec<Exception>),
    /// An owner is erasing usage: to be tried again.
    Again,
}

impl Worker {
    /// One step of an import or a merge, or of its rollback.
    pub(super) async fn step_rows(&self, context: &RequestContext, lease: &mut Lease) -> Result<Step, Problem> {
        let started = Instant::now();
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        if store::count_waiting_events(&mut tx, MAX_WAITING_EVENTS + 1).await? > MAX_WAITING_EVENTS {
            // The lease goes on.
            tx.commit().await?;
            return Ok(Step::Waits);
        }
        let left = usize::try_from(lease.job.phase_total() - lease.job.done).map_err(Problem::internal)?;
        let limit = i64::try_from(lease.rows.min(left)).map_err(Problem::internal)?;
        tx.by_key_and_giving_way(PATIENCE).await?;
        let batch = Batch::next(&mut tx, &lease.job, limit).await?;
        let keys = batch.keys();
        let Some(last) = keys.last() else { return self.finish(tx, lease).await };
        let cursor = Cursor::after(last);
        let exceptions = match self.take(&mut tx, context, &lease.job, &batch).await {
            Ok(Rows::Taken(exceptions)) => exceptions,
            Ok(Rows::Again) => return tx.rollback().await.map(|()| Step::Waits),
            Err(problem) if problem.database_error().is_some_and(is_lock_timeout) => {
                return tx.rollback().await.map(|()| Step::Waits);
            }
            Err(problem) => {
                let poison = problem.database_error().is_some_and(is_data_fault);
                // At once, so that the rows are free; where the connection is lost, they already are.
                let _ = tx.rollback().await;
                return match keys.as_slice() {
                    _ if !poison => Err(problem),
                    [key] => self.step_over_poison(context, lease, key, &problem).await,
                    many => {
                        lease.rows = many.len() / 2;
                        Ok(Step::Goes)
                    }
                };
            }
        };
        insert_exceptions(&mut tx, lease.job.job_id, &exceptions).await?;
        let count = i64::try_from(keys.len()).map_err(Problem::internal)?;
        let step = self.commit_step(tx, lease, advance(count, cursor, &exceptions)).await?;
        lease.rows = rows_after(keys.len(), started.elapsed());
        Ok(step)
    }

    async fn take(&self, tx: &mut Tx, context: &RequestContext, job: &Job, batch: &Batch) -> Result<Rows, Problem> {
        let executed_at = job.executed_at.ok_or_else(|| Problem::internal("a job is at work and never executed"))?;
        let clock = &self.backfills.clock;
        let correcting = Correcting { backfill_id: job.job_id, executed_at, trace: &context.trace, clock };
        let rows = match batch {
            Batch::Rows(rows) => rows,
            Batch::Pairs(pairs) => {
                let taken = match job.state {
                    State::RollingBack => pairs::give_back(tx, correcting, job, pairs).await?,
                    _ => pairs::take(tx, correcting, pairs).await?,
                };
                return Ok(taken.map_or(Rows::Again, Rows::Taken));
            }
        };
        if job.state == State::RollingBack {
            let keys: Vec<BucketKey> = rows.iter().map(|row| row.key.clone()).collect();
            return roll_back(tx, correcting, job, &keys).await.map(Rows::Taken);
        }
        let Some(outcomes) = correct_in(tx, correcting, rows).await? else { return Ok(Rows::Again) };
        let skipped = |(row, outcome): (&Correction, Corrected)| {
            let code = match outcome {
                Corrected::Written => return None,
                Corrected::Moved => "moved",
                Corrected::Refused(verdict) => verdict.as_str(),
            };
            Some(Exception::of(ExceptionKind::Skipped, row.key.clone(), code))
        };
        Ok(Rows::Taken(rows.iter().zip(outcomes).filter_map(skipped).collect()))
    }

    /// A row that the database refuses by itself is listed, and stepped over.
    async fn step_over_poison(
        &self,
        context: &RequestContext,
        lease: &mut Lease,
        key: &BucketKey,
        problem: &Problem,
    ) -> Result<Step, Problem> {
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        let sqlstate = problem.database_error().and_then(|error| error.as_database_error()?.code());
        let code = format!("refused_{}", sqlstate.as_deref().unwrap_or("unknown"));
        let kind = if lease.job.state == State::RollingBack { ExceptionKind::Kept } else { ExceptionKind::Poisoned };
        // Of a pair the bucket is listed that stays where it is, as where it has moved.
        let listed = lease.job.merge.as_ref().map(|merge| merge.order.from_device_id);
        let listed = BucketKey { device_id: listed.unwrap_or(key.device_id), ..key.clone() };
        let exceptions = [Exception::of(kind, listed, &code)];
        insert_exceptions(&mut tx, lease.job.job_id, &exceptions).await?;
        lease.rows = FIRST_ROWS;
        self.commit_step(tx, lease, advance(1, Cursor::after(key), &exceptions)).await
    }
}

/// Restores what is still this job's. What is not is kept; but not what the execution had left alone. A second rollback
/// adds nothing to the list, because what the first one restored is not this job's any more either.
async fn roll_back(
    tx: &mut Tx,
    correcting: Correcting<'_>,
    job: &Job,
    keys: &[BucketKey],
) -> Result<Vec<Exception>, Problem> {
    let restored = restore_in(tx, correcting, keys).await?;
    if job.rollbacks > 1 {
        let restored = keys.iter().zip(&restored).filter(|(_, restored)| **restored);
        let restored: Vec<BucketKey> = restored.map(|(key, _)| key.clone()).collect();
        store::strike_kept_rows(tx, job.job_id, &restored).await?;
        return Ok(Vec::new());
    }
    let untouched = store::untouched_rows(tx, job.job_id, keys).await?;
    let kept = (0..keys.len()).filter(|at| !restored[*at] && !untouched.contains(at));
    Ok(kept.map(|at| Exception::of(ExceptionKind::Kept, keys[at].clone(), "changed_since")).collect())
}

/// How many rows to take after a step of so many that took so long.
fn rows_after(rows: usize, took: Duration) -> usize {
    let next = if took < STEP_TIME {
        rows * 2
    } else if took > STEP_TIME * 2 {
        rows / 2
    } else {
        rows
    };
    next.clamp(1, MOST_ROWS)
}

fn advance(rows: i64, cursor: Cursor, exceptions: &[Exception]) -> Advance {
    let count = |kind| exceptions.iter().map(|exception| i64::from(exception.kind == kind)).sum();
    Advance {
        rows,
        cursor,
        poisoned: count(ExceptionKind::Poisoned),
        skipped: count(ExceptionKind::Skipped),
        drift: None,
    }
}

fn after(cursor: &Cursor) -> Option<RowPosition> {
    let (source, model) = (cursor.source.clone()?, cursor.model.clone()?);
    Some((cursor.user_id?, cursor.hour_start?, cursor.device_id?, source, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_short_and_shrink_when_they_are_long_within_bounds() {
        let after = |rows, millis| rows_after(rows, Duration::from_millis(millis));
        let rows = [after(500, 0), after(500, 39), after(500, 40), after(500, 80), after(500, 81)];
        assert_eq!(rows, [1_000, 1_000, 500, 500, 250]);
        assert_eq!([after(2_000, 0), after(1_400, 0), after(1, 10_000)], [2_000, 2_000, 1]);
    }
}
