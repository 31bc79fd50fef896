//! Steps over the rows of an import: forth and back.

use std::time::{Duration, Instant};

use super::super::job::{Cursor, Exception, ExceptionKind, Job, State};
use super::super::store::{RowPosition, insert_exceptions, list_plan_rows};
use super::store::{self, Advance};
use super::worker::{FIRST_ROWS, Lease, MAX_WAITING_EVENTS, MOST_ROWS, STEP_TIME, Step, Worker};
use crate::kernel::bucket::BucketKey;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Tx, is_data_fault, is_lock_timeout};
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::corrections::{Corrected, Correcting, Correction, correct_in, restore_in};

/// A step that holds what a tracker's post waits for, and waits for what that post holds, gives way after so long.
const PATIENCE: Duration = Duration::from_millis(200);

/// What became of a step's rows.
enum Rows {
    /// Stepped over, with what did not go as planned.
    Taken(Vec<Exception>),
    /// An owner is erasing usage: to be tried again.
    Again,
}

impl Worker {
    /// One step of an import or of its rollback.
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
        let rows = list_plan_rows(&mut tx, lease.job.job_id, after(&lease.job.cursor).as_ref(), limit).await?;
        let Some(last) = rows.last() else { return self.finish(tx, lease).await };
        let cursor = Cursor::after(&last.key);
        let exceptions = match self.take_rows(&mut tx, context, &lease.job, &rows).await {
            Ok(Rows::Taken(exceptions)) => exceptions,
            Ok(Rows::Again) => return tx.rollback().await.map(|()| Step::Waits),
            Err(problem) if problem.database_error().is_some_and(is_lock_timeout) => {
                return tx.rollback().await.map(|()| Step::Waits);
            }
            Err(problem) => {
                let poison = problem.database_error().is_some_and(is_data_fault);
                // At once, so that the rows are free; where the connection is lost, they already are.
                let _ = tx.rollback().await;
                return match rows.as_slice() {
                    _ if !poison => Err(problem),
                    [row] => self.step_over_poison(context, lease, row, &problem).await,
                    many => {
                        lease.rows = many.len() / 2;
                        Ok(Step::Goes)
                    }
                };
            }
        };
        insert_exceptions(&mut tx, lease.job.job_id, &exceptions).await?;
        let count = i64::try_from(rows.len()).map_err(Problem::internal)?;
        let step = self.commit_step(tx, lease, advance(count, cursor, &exceptions)).await?;
        lease.rows = rows_after(rows.len(), started.elapsed());
        Ok(step)
    }

    async fn take_rows(
        &self,
        tx: &mut Tx,
        context: &RequestContext,
        job: &Job,
        rows: &[Correction],
    ) -> Result<Rows, Problem> {
        let executed_at = job.executed_at.ok_or_else(|| Problem::internal("a job is at work and never executed"))?;
        let clock = &self.backfills.clock;
        let correcting = Correcting { backfill_id: job.job_id, executed_at, trace: &context.trace, clock };
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
            Some(exception(ExceptionKind::Skipped, &row.key, code))
        };
        Ok(Rows::Taken(rows.iter().zip(outcomes).filter_map(skipped).collect()))
    }

    /// A row that the database refuses by itself is listed, and stepped over.
    async fn step_over_poison(
        &self,
        context: &RequestContext,
        lease: &mut Lease,
        row: &Correction,
        problem: &Problem,
    ) -> Result<Step, Problem> {
        let Some(mut tx) = self.begin_step(context, lease).await? else { return Ok(Step::Lost) };
        let sqlstate = problem.database_error().and_then(|error| error.as_database_error()?.code());
        let code = format!("refused_{}", sqlstate.as_deref().unwrap_or("unknown"));
        let kind = if lease.job.state == State::RollingBack { ExceptionKind::Kept } else { ExceptionKind::Poisoned };
        let exceptions = [exception(kind, &row.key, &code)];
        insert_exceptions(&mut tx, lease.job.job_id, &exceptions).await?;
        lease.rows = FIRST_ROWS;
        self.commit_step(tx, lease, advance(1, Cursor::after(&row.key), &exceptions)).await
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
    Ok(kept.map(|at| exception(ExceptionKind::Kept, &keys[at], "changed_since")).collect())
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

fn exception(kind: ExceptionKind, key: &BucketKey, code: &str) -> Exception {
    Exception { kind, line: None, key: Some(key.clone()), code: code.to_owned(), expected: None }
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
