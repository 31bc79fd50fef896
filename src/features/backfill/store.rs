//! The SQL of jobs: reading them, and what operators do to them.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::job::{Action, Cursor, Days, Diff, Exception, ExceptionKind, Job, State};
use super::pairing::{Merge, MergeOrder, Pairing, PlanRow, Resolve};
use super::repricing::Repricing;
use crate::kernel::bucket::{BucketKey, BucketKeyRef};
use crate::kernel::database::{Tx, counters_of_row};
use crate::kernel::problem::Problem;
use crate::kernel::usage::writer::CarriedKept;
use crate::kernel::usage::writer::corrections::Correction;

/// The key of the advisory lock that plans share while rows are staged, and that whoever forgets a person takes alone:
/// "planning" in ASCII.
pub const PLANNING_LOCK: i64 = 0x706c_616e_6e69_6e67;

/// Where a page of plan rows begins: after the row of this key.
pub type RowPosition = (Uuid, DateTime<Utc>, Uuid, String, String);

/// Before the first page: no bucket is as old.
pub fn beginning() -> RowPosition {
    (Uuid::nil(), DateTime::UNIX_EPOCH, Uuid::nil(), String::new(), String::new())
}

/// The version of the bucket that a plan row has seen: `seen_of_row!(row)`; `None` where there was none. The record has the
/// columns `seen_…` of the row.
macro_rules! seen_of_row {
    ($row:ident) => {
        $row.seen_observed_at.map(|observed_at| {
            let counts = $crate::kernel::bucket::PerCounter {
                input_tokens: $row.seen_input_tokens,
                cache_read_tokens: $row.seen_cache_read_tokens,
                cache_write_5m_tokens: $row.seen_cache_write_5m_tokens,
                cache_write_1h_tokens: $row.seen_cache_write_1h_tokens,
                output_tokens: $row.seen_output_tokens,
                reasoning_tokens: $row.seen_reasoning_tokens,
                unclassified_tokens: $row.seen_unclassified_tokens,
                request_count: $row.seen_request_count,
            };
            let counts = counts.map(Option::unwrap_or_default);
            $crate::kernel::usage::writer::corrections::Version { counts, observed_at }
        })
    };
}
pub(super) use seen_of_row;

/// Jobs, newest first: one, or those made before another; all, or merges of one user.
pub async fn read_jobs(
    tx: &mut Tx,
    job_id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
    merges_of: Option<Uuid>,
) -> Result<Vec<Job>, Problem> {
    let rows = sqlx::query_file_as!(JobRow, "src/features/backfill/read_jobs.sql", job_id, before, limit, merges_of)
        .fetch_all(tx)
        .await?;
    rows.into_iter().map(JobRow::job).collect()
}

/// A job as the database keeps it.
struct JobRow {
    job_id: Uuid,
    action: String,
    state: String,
    version: i64,
    reason: String,
    first_day: NaiveDate,
    last_day: NaiveDate,
    user_ids: Option<Vec<Uuid>>,
    plan_hash: Option<String>,
    inserted: i64,
    raised: i64,
    lowered: i64,
    changed: i64,
    unchanged: i64,
    rollup_rows: i64,
    tokens_before: String,
    tokens_after: String,
    from_device_id: Option<Uuid>,
    into_device_id: Option<Uuid>,
    resolve: Option<String>,
    only_in_from: i64,
    only_in_into: i64,
    in_both_equal: i64,
    in_both_different: i64,
    carried_snapshots: Option<i64>,
    carried_last_kept_at: Option<DateTime<Utc>>,
    into_last_kept_at: Option<DateTime<Utc>>,
    book: Option<i32>,
    former_book: Option<i32>,
    prices: Option<serde_json::Value>,
    total: i64,
    done: i64,
    cursor_user_id: Option<Uuid>,
    cursor_hour_start: Option<DateTime<Utc>>,
    cursor_device_id: Option<Uuid>,
    cursor_source: Option<String>,
    cursor_model: Option<String>,
    poisoned: i64,
    skipped: i64,
    rollbacks: i32,
    reached: Option<i64>,
    drift: Option<serde_json::Value>,
    failure: Option<String>,
    fingerprint: Option<Vec<u8>>,
    is_leased: bool,
    created_at: DateTime<Utc>,
    executed_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    purged_at: Option<DateTime<Utc>>,
}

impl JobRow {
    fn job(self) -> Result<Job, Problem> {
        let unknown = |what: &str| Problem::internal(format!("a job has an unknown {what}"));
        let (merge, repricing) = (self.merge()?, self.repricing()?);
        Ok(Job {
            job_id: self.job_id,
            merge,
            repricing,
            action: Action::parse(&self.action).ok_or_else(|| unknown("action"))?,
            state: State::parse(&self.state).ok_or_else(|| unknown("state"))?,
            version: self.version,
            reason: self.reason,
            days: Days { first: self.first_day, last: self.last_day },
            user_ids: self.user_ids,
            plan_hash: self.plan_hash,
            diff: Diff {
                inserted: self.inserted,
                raised: self.raised,
                lowered: self.lowered,
                changed: self.changed,
                unchanged: self.unchanged,
                rollup_rows: self.rollup_rows,
                tokens_before: self.tokens_before.parse().map_err(Problem::internal)?,
                tokens_after: self.tokens_after.parse().map_err(Problem::internal)?,
            },
            total: self.total,
            done: self.done,
            poisoned: self.poisoned,
            skipped: self.skipped,
            rollbacks: self.rollbacks,
            reached: self.reached,
            cursor: Cursor {
                user_id: self.cursor_user_id,
                hour_start: self.cursor_hour_start,
                device_id: self.cursor_device_id,
                source: self.cursor_source,
                model: self.cursor_model,
            },
            drift: self.drift,
            failure: self.failure,
            fingerprint: self.fingerprint,
            is_leased: self.is_leased,
            created_at: self.created_at,
            executed_at: self.executed_at,
            finished_at: self.finished_at,
            purged_at: self.purged_at,
        })
    }
}

impl JobRow {
    fn repricing(&self) -> Result<Option<Repricing>, Problem> {
        let Some(book) = self.book else { return Ok(None) };
        let diff = self.prices.clone().map(serde_json::from_value).transpose().map_err(Problem::internal)?;
        Ok(Some(Repricing { book, former_book: self.former_book, diff }))
    }

    fn merge(&self) -> Result<Option<Merge>, Problem> {
        let Some((from_device_id, into_device_id)) = self.from_device_id.zip(self.into_device_id) else {
            return Ok(None);
        };
        let unknown = || Problem::internal("a job has an unknown resolve");
        let resolve = self.resolve.as_deref().map(|text| Resolve::parse(text).ok_or_else(unknown)).transpose()?;
        let carried = self.carried_snapshots.zip(self.carried_last_kept_at);
        Ok(Some(Merge {
            order: MergeOrder { from_device_id, into_device_id, resolve },
            only_in_from: self.only_in_from,
            only_in_into: self.only_in_into,
            equal: self.in_both_equal,
            different: self.in_both_different,
            carried: carried.map(|(snapshots, last_kept_at)| CarriedKept {
                snapshots,
                last_kept_at,
                into_last_kept_at: self.into_last_kept_at,
            }),
        }))
    }
}

/// Keeps a job as it is until the transaction ends. False where there is none.
pub async fn lock_job(tx: &mut Tx, job_id: Uuid) -> Result<bool, Problem> {
    let found = sqlx::query_file_scalar!("src/features/backfill/lock_job.sql", job_id).fetch_optional(tx).await?;
    Ok(found.is_some())
}

/// Hands a planned job to the workers.
pub async fn begin_execution(tx: &mut Tx, job_id: Uuid, executed_at: DateTime<Utc>) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/begin_execution.sql", job_id, executed_at).execute(tx).await?;
    Ok(())
}

/// Takes a job away from whoever works on it.
pub async fn cancel_job(tx: &mut Tx, job_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/cancel_job.sql", job_id).execute(tx).await?;
    Ok(())
}

/// Hands a job to the workers to be taken back.
pub async fn begin_rollback(tx: &mut Tx, job_id: Uuid) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/begin_rollback.sql", job_id).execute(tx).await?;
    Ok(())
}

/// How many rows of a plan are stale, counted up to `limit`.
pub async fn count_moved_rows(tx: &mut Tx, job_id: Uuid, limit: i64) -> Result<i64, Problem> {
    let query = sqlx::query_file_scalar!("src/features/backfill/count_moved_rows.sql", job_id, limit);
    Ok(query.fetch_one(tx).await?)
}

/// The jobs that have to be taken back before this one, newest first.
pub async fn newer_corrections(tx: &mut Tx, job_id: Uuid) -> Result<Vec<Uuid>, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/backfill/newer_corrections.sql", job_id).fetch_all(tx).await?)
}

/// A page of a plan.
pub async fn list_plan_rows(
    tx: &mut Tx,
    job_id: Uuid,
    after: Option<&RowPosition>,
    limit: i64,
) -> Result<Vec<PlanRow>, Problem> {
    let beginning = beginning();
    let (user_id, hour_start, device_id, source, model) = after.unwrap_or(&beginning);
    let rows = sqlx::query_file!(
        "src/features/backfill/list_plan_rows.sql",
        job_id,
        user_id,
        hour_start,
        device_id,
        source,
        model,
        limit,
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let seen = seen_of_row!(row);
            let counts = counters_of_row!(row);
            let key = key(row.user_id, row.hour_start, row.device_id, &row.source, &row.model)?;
            let pairing = row.pairing.as_deref().map(|text| {
                Pairing::parse(text).ok_or_else(|| Problem::internal("a row of a job has an unknown pairing"))
            });
            let (pairing, removes) = (pairing.transpose()?, row.removes);
            Ok(PlanRow { row: Correction { key, counts, seen }, pairing, removes })
        })
        .collect()
}

/// A page of what did not go as planned, each with its number.
pub async fn list_exceptions(
    tx: &mut Tx,
    job_id: Uuid,
    kind: Option<ExceptionKind>,
    after: i64,
    limit: i64,
) -> Result<Vec<(i64, Exception)>, Problem> {
    let kind = kind.map(ExceptionKind::as_str);
    let rows = sqlx::query_file!("src/features/backfill/list_exceptions.sql", job_id, kind, after, limit)
        .fetch_all(tx)
        .await?;
    rows.into_iter()
        .map(|row| {
            let key = match (row.user_id, row.hour_start, row.device_id, row.source, row.model) {
                (Some(user), Some(hour), Some(device), Some(source), Some(model)) => {
                    Some(key(user, hour, device, &source, &model)?)
                }
                _ => None,
            };
            let kind =
                ExceptionKind::parse(&row.kind).ok_or_else(|| Problem::internal("an exception has an unknown kind"))?;
            let expected = row.field.zip(row.detail);
            Ok((row.exception_id, Exception { kind, line: row.line, key, code: row.code, expected }))
        })
        .collect()
}

/// Lists what did not go as planned.
pub async fn insert_exceptions(tx: &mut Tx, job_id: Uuid, exceptions: &[Exception]) -> Result<(), Problem> {
    if exceptions.is_empty() {
        return Ok(());
    }
    let keys: Vec<Option<&BucketKey>> = exceptions.iter().map(|exception| exception.key.as_ref()).collect();
    let expected: Vec<_> = exceptions.iter().map(|exception| exception.expected.as_ref()).collect();
    sqlx::query_file!(
        "src/features/backfill/insert_exceptions.sql",
        job_id,
        &exceptions.iter().map(|exception| exception.kind.as_str()).collect::<Vec<_>>() as &[&str],
        &exceptions.iter().map(|exception| exception.line).collect::<Vec<_>>() as &[Option<i64>],
        &keys.iter().map(|key| key.map(|key| key.user_id)).collect::<Vec<_>>() as &[Option<Uuid>],
        &keys.iter().map(|key| key.map(|key| key.hour_start.start())).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
        &keys.iter().map(|key| key.map(|key| key.device_id)).collect::<Vec<_>>() as &[Option<Uuid>],
        &keys.iter().map(|key| key.map(|key| key.source.as_str())).collect::<Vec<_>>() as &[Option<&str>],
        &keys.iter().map(|key| key.map(|key| key.model.as_str())).collect::<Vec<_>>() as &[Option<&str>],
        &exceptions.iter().map(|exception| exception.code.as_str()).collect::<Vec<_>>() as &[&str],
        &expected.iter().map(|expected| expected.map(|(field, _)| field.as_str())).collect::<Vec<_>>()
            as &[Option<&str>],
        &expected.iter().map(|expected| expected.map(|(_, detail)| detail.as_str())).collect::<Vec<_>>()
            as &[Option<&str>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The key of a row of a job. Errors: 500 for one that is none.
pub fn key(
    user_id: Uuid,
    hour_start: DateTime<Utc>,
    device_id: Uuid,
    source: &str,
    model: &str,
) -> Result<BucketKey, Problem> {
    let key = BucketKeyRef { user_id, hour_start, device_id, source, model }.parse();
    key.ok_or_else(|| Problem::internal("a row of a job has a key that is none"))
}
