//! What operators are told of jobs, and viewers of their merges.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::job::{Action, Exception, ExceptionKind, Job, State};
use super::jobs::Shown;
use super::pairing::{Merge, Pairing, PlanRow, Resolve};
use super::prices_reply::RepricingReply;
use super::repricing::Repricing;
use crate::kernel::bucket::BucketKey;
use crate::kernel::http::counters::{ShownCounts, joined, shown_counters};
use crate::kernel::http::schemas;
use crate::kernel::idempotency::Answer;
use crate::kernel::problem::Problem;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backfill)]
pub struct JobReply {
    /// The job.
    pub id: Uuid,
    #[schema(schema_with = actions)]
    action: &'static str,
    /// Where it is on its way.
    #[schema(schema_with = states)]
    pub state: &'static str,
    /// Changes with the state and only then: what `If-Match` wants.
    #[schema(example = 2, minimum = 1)]
    pub version: i64,
    /// A fingerprint of the plan's rows and of what they replace; null while planning.
    plan_hash: Option<String>,
    /// Why, in the operator's words.
    reason: String,
    /// The first UTC day.
    from: NaiveDate,
    /// The last UTC day, inclusive.
    to: NaiveDate,
    /// The users; null for all.
    user_ids: Option<Vec<Uuid>>,
    /// What the plan changes; null for replays, verifications and reprices. Of a merge it counts the into-device's buckets; the
    /// tokens and rollup rows are of both devices.
    diff: Option<DiffReply>,
    /// For merges: the devices, and how their buckets stand to each other; null for other jobs.
    merge: Option<MergeReply>,
    /// For reprices: the price book, and what it changes; null for other jobs.
    prices: Option<RepricingReply>,
    /// How far the present phase has come.
    pub progress: ProgressReply,
    /// Lines that were not acceptable and rows that could not be written: see `/exceptions`.
    poisoned: i64,
    /// Rows that had changed since the plan and were left alone: see `/exceptions`.
    skipped: i64,
    /// Buckets that the rollback left as they are, because they have changed since; the first 100, all in `/exceptions`.
    /// Lists of jobs leave them out.
    kept_on_rollback: Vec<KeyReply>,
    /// What a verification found; null for other jobs, and until it has begun. `count` days with drift, the `first` 100;
    /// `pending` days that were not compared because their events are not folded yet, of `user_days`; `orphaned` users and
    /// devices that do not exist, the first 100 in `orphans`; buckets `of_unknown_sources`, which are of tools that were never
    /// allowed, the first 100 of these in `unknown_sources`; users `not_compared` because their data was refused or it
    /// took too long, the first 100 in `not_compared_users`.
    #[schema(value_type = Option<Object>)]
    drift: Option<serde_json::Value>,
    /// Why it failed, in a word: `incomplete` (see `poisoned`, `skipped` and, in `drift`, `not_compared`), `events_parked`, `abandoned`, `no_lines`,
    /// `too_many_lines`, `expired`, `superseded` (another price book was put in force meanwhile); else null.
    failure: Option<String>,
    /// When it was asked for.
    created_at: DateTime<Utc>,
    /// Start of its execution: the stamp of its corrections.
    executed_at: Option<DateTime<Utc>>,
    /// When it came to its present end.
    finished_at: Option<DateTime<Utc>>,
}

/// What a plan changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillDiff)]
pub struct DiffReply {
    /// Buckets that do not exist yet.
    inserted: i64,
    /// Buckets whose total rises.
    raised: i64,
    /// Buckets whose total falls.
    lowered: i64,
    /// Buckets with the same total in other classes.
    changed: i64,
    /// Buckets that already say so.
    unchanged: i64,
    /// Rollup rows that this touches.
    rollup_rows: i64,
    /// Total tokens of the buckets as they are.
    tokens_before: u128,
    /// Total tokens of the buckets as they will be.
    tokens_after: u128,
}

/// Two devices of a user, and how their buckets stand to each other as planned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillMerge)]
pub struct MergeReply {
    /// The device whose buckets are moved.
    from_device_id: Uuid,
    /// The device that gets them.
    into_device_id: Uuid,
    #[schema(schema_with = resolves)]
    resolve: Option<&'static str>,
    /// Buckets that the from-device alone has: they are moved.
    only_in_from: i64,
    /// Buckets that the into-device alone has: they stay.
    only_in_into: i64,
    /// Buckets that both have with the same counts: they are counted once.
    equal: i64,
    /// Buckets that both have with other counts: `resolve` decides.
    different: i64,
}

impl From<&Merge> for MergeReply {
    fn from(merge: &Merge) -> Self {
        Self {
            from_device_id: merge.order.from_device_id,
            into_device_id: merge.order.into_device_id,
            resolve: merge.order.resolve.map(Resolve::as_str),
            only_in_from: merge.only_in_from,
            only_in_into: merge.only_in_into,
            equal: merge.equal,
            different: merge.different,
        }
    }
}

/// How far a job has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillProgress)]
pub struct ProgressReply {
    /// Rows that are done; for replays, verifications and reprices, users; for merges, buckets of the from-device.
    pub done: i64,
    /// All of them.
    pub total: i64,
    /// From 0 to 100.
    #[schema(example = 40.0, minimum = 0, maximum = 100)]
    pub percent: f64,
    /// Seconds to the last row at the rate so far; null where that is not known.
    pub eta_seconds: Option<i64>,
}

/// The five dimensions of a bucket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillKey)]
pub struct KeyReply {
    /// The owner.
    user_id: Uuid,
    /// The device.
    device_id: Uuid,
    /// The half hour.
    hour_start: DateTime<Utc>,
    /// The tool.
    source: String,
    /// The model.
    model: String,
}

/// One row of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillRow)]
pub struct RowReply {
    #[serde(flatten)]
    key: KeyReply,
    #[schema(schema_with = effects)]
    effect: &'static str,
    #[schema(schema_with = pairings)]
    pairing: Option<&'static str>,
    /// What stood when it was planned; null where nothing did.
    before: Option<CountsReply>,
    /// The stamp of that version.
    observed_at: Option<DateTime<Utc>>,
    /// What it is to say; null where it is removed.
    after: Option<CountsReply>,
}

/// What a bucket says.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct CountsReply(ShownCounts);

impl ToSchema for CountsReply {
    fn name() -> Cow<'static, str> {
        "BackfillCounts".into()
    }
}

impl PartialSchema for CountsReply {
    fn schema() -> RefOr<Schema> {
        let whole = ObjectBuilder::new().description(Some("What a bucket says."));
        joined([whole.into(), shown_counters::<i64>("The sum of the disjoint classes.", &[])])
    }
}

/// A line or row that did not go as planned.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillException)]
pub struct ExceptionReply {
    #[schema(schema_with = kinds)]
    kind: &'static str,
    /// The line of the stream, from 1; null for what was found later.
    line: Option<i64>,
    /// The bucket; null where the line's key could not be read.
    bucket: Option<KeyReply>,
    /// What is wrong with it.
    #[schema(example = "unknown_device")]
    code: String,
    /// The field of the line that is wrong; null where it is the line as a whole, and for what was found later.
    #[schema(example = "model")]
    field: Option<String>,
    /// What was expected of the field.
    detail: Option<String>,
}

/// A page of jobs, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Backfills)]
pub struct JobsReply {
    /// The jobs.
    pub data: Vec<JobReply>,
    /// Where to go on; null when this is all.
    pub next_cursor: Option<String>,
}

/// A page of a plan, in the order of its execution.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillRows)]
pub struct RowsReply {
    /// The rows.
    pub data: Vec<RowReply>,
    /// Where to go on; null when this is all.
    pub next_cursor: Option<String>,
}

/// A page of what did not go as planned, in the order in which it was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BackfillExceptions)]
pub struct ExceptionsReply {
    /// The lines and rows.
    pub data: Vec<ExceptionReply>,
    /// Where to go on; null when this is all.
    pub next_cursor: Option<String>,
}

fn actions() -> Object {
    let words = schemas::one_of(Action::ALL.map(Action::as_str));
    words.description(Some("What it does.")).examples(["import"]).build()
}

fn states() -> Object {
    let words = schemas::one_of(State::ALL.map(State::as_str));
    words.description(Some("Where it is on its way.")).examples(["planned"]).build()
}

fn resolves() -> Object {
    let about = "What decides where they differ; null while nobody has.";
    schemas::one_of_or_null(Resolve::ALL.map(Resolve::as_str)).description(Some(about)).examples(["larger"]).build()
}

fn effects() -> Object {
    let about = "`removed` for the from-device's bucket of a merge.";
    let words = ["inserted", "raised", "lowered", "changed", "unchanged", "removed"];
    schemas::one_of(words).description(Some(about)).examples(["raised"]).build()
}

fn pairings() -> Object {
    let about = "For merges, of both rows of a pair; null for imports.";
    let words = schemas::one_of_or_null(Pairing::ALL.map(Pairing::as_str));
    words.description(Some(about)).examples(["different"]).build()
}

fn kinds() -> Object {
    let about = "`poisoned`: not acceptable. `skipped`: changed since the plan. `kept`: changed since the execution.";
    let words = schemas::one_of(ExceptionKind::ALL.map(ExceptionKind::as_str));
    words.description(Some(about)).examples(["poisoned"]).build()
}

impl JobReply {
    /// The answer to what was done to a job.
    pub fn answer(shown: &Shown) -> Result<Answer, Problem> {
        Ok(Answer::ok(&Self::from(shown.clone()))?.versioned(shown.job.version))
    }

    /// A job without what its rollback kept, and without the lines of a reprice.
    pub fn brief(mut job: Job, at: DateTime<Utc>) -> Self {
        job.repricing = job.repricing.map(Repricing::brief);
        Self::from(Shown { job, at, kept: Vec::new() })
    }
}

impl From<Shown> for JobReply {
    fn from(Shown { job, at, kept }: Shown) -> Self {
        let progress = job.progress(at);
        let diff = &job.diff;
        let diff = job.action.changes_buckets().then_some(DiffReply {
            inserted: diff.inserted,
            raised: diff.raised,
            lowered: diff.lowered,
            changed: diff.changed,
            unchanged: diff.unchanged,
            rollup_rows: diff.rollup_rows,
            tokens_before: diff.tokens_before,
            tokens_after: diff.tokens_after,
        });
        Self {
            id: job.job_id,
            action: job.action.as_str(),
            state: job.state.as_str(),
            version: job.version,
            plan_hash: job.plan_hash,
            reason: job.reason,
            from: job.days.first,
            to: job.days.last,
            user_ids: job.user_ids,
            diff,
            merge: job.merge.as_ref().map(MergeReply::from),
            prices: job.repricing.map(RepricingReply::from),
            progress: ProgressReply {
                done: progress.done,
                total: progress.total,
                percent: progress.percent,
                eta_seconds: progress.eta_seconds,
            },
            poisoned: job.poisoned,
            skipped: job.skipped,
            kept_on_rollback: kept.into_iter().filter_map(|exception| exception.key.map(KeyReply::from)).collect(),
            drift: job.drift,
            failure: job.failure,
            created_at: job.created_at,
            executed_at: job.executed_at,
            finished_at: job.finished_at,
        }
    }
}

impl From<BucketKey> for KeyReply {
    fn from(key: BucketKey) -> Self {
        Self {
            user_id: key.user_id,
            device_id: key.device_id,
            hour_start: key.hour_start.start(),
            source: key.source.as_str().to_owned(),
            model: key.model.as_str().to_owned(),
        }
    }
}

impl From<PlanRow> for RowReply {
    fn from(plan_row: PlanRow) -> Self {
        let effect = plan_row.effect();
        let PlanRow { row, pairing, removes } = plan_row;
        Self {
            key: row.key.into(),
            effect,
            pairing: pairing.map(Pairing::as_str),
            before: row.seen.map(|seen| CountsReply(seen.counts.into())),
            observed_at: row.seen.map(|seen| seen.observed_at),
            after: (!removes).then(|| CountsReply(row.counts.into())),
        }
    }
}

impl From<Exception> for ExceptionReply {
    fn from(exception: Exception) -> Self {
        let (field, detail) = exception.expected.unzip();
        Self {
            kind: exception.kind.as_str(),
            line: exception.line,
            bucket: exception.key.map(KeyReply::from),
            code: exception.code,
            field,
            detail,
        }
    }
}
