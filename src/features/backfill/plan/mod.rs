//! Planning: from an order to rows that can be looked at, each with the version that it replaces. Nothing but the
//! job's own rows is written.
//!
//! A body is planned in one transaction, refused whole when anything is wrong with it. A stream is staged in short
//! transactions of some hundred lines, in constant memory; a line that is not acceptable is listed by its number and
//! does not stop the others. The stream holds a lease on its job: when it breaks off, the lease runs out and the job
//! fails.

mod book;
mod contract;
pub mod handler;
mod imported;
pub mod key;
pub mod lines;
pub mod request;
mod staging;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use uuid::Uuid;

use super::job::{Action, Days, Exception, ExceptionKind, Job};
use super::jobs::{Backfills, read_job};
use super::merge;
use super::pairing::MergeOrder;
use super::reprice;
use super::store as jobs;
use crate::kernel::access::Actor;
use crate::kernel::bucket::BucketKey;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Mode, Tx};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::idempotency::{key_in_progress, key_reused};
use crate::kernel::operations::audit::{self, Act};
use crate::kernel::problem::{Code, Problem, Violation};
use crate::kernel::usage::sources::{KnownSources, known_in};
use imported::{ImportRules, Imported};
use key::PlanKey;
use lines::ImportLine;
use request::{Order, PlanLimits};
use staging::{BATCH_LINES, stage_body};

/// A stream may have this many lines.
pub const MAX_LINES: i64 = 2_000_000;
/// A stream that flows slowly is staged so often, and with that keeps its lease, which lasts a minute.
const BATCH_PAUSE: TimeDelta = TimeDelta::seconds(15);
/// A batch of a stream has its own time.
const BATCH_LIMIT: Duration = Duration::from_secs(10);
/// Adding a plan of millions of rows up takes some seconds.
const SUMMARY_LIMIT: Duration = Duration::from_mins(1);

/// A job that was asked for.
#[derive(Debug)]
pub struct Planned {
    /// The job.
    pub job: Job,
    /// True where an earlier request with this key made it.
    pub replayed: bool,
}

impl Backfills {
    /// What an order has to be like now.
    pub fn limits(&self) -> PlanLimits {
        PlanLimits { now: self.clock.now(), max_days: self.max_days }
    }

    /// The tools that an import may name, as they are stored now. Errors: the database's.
    pub async fn known_sources(&self, context: &RequestContext) -> Result<Arc<KnownSources>, Problem> {
        let mut tx = self.pool.begin(context, Access::Worker, Mode::Snapshot).await?;
        let known = known_in(&mut tx).await?;
        tx.rollback().await?;
        Ok(Arc::new(known))
    }

    /// Plans an order whose buckets are all there. Errors: 422 with every violation, and for a key that stands for
    /// another request; 409 while a stream with the key is being read.
    pub async fn plan(
        &self,
        context: &RequestContext,
        actor: Actor,
        key: Option<&PlanKey>,
        order: &Order,
        buckets: &[Imported],
    ) -> Result<Planned, Problem> {
        let (job_id, lease_token) = (Uuid::now_v7(), Uuid::now_v7());
        // A reprice compares every bucket.
        let is_reprice = order.action == Action::Reprice;
        let deadline = if is_reprice { Instant::now() + SUMMARY_LIMIT } else { context.deadline };
        let context = &RequestContext { deadline, ..context.clone() };
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let users = "/user_ids";
        if !insert(&mut tx, context, actor, (job_id, lease_token), (order, users), key).await? {
            let job = keyed_job(&mut tx, key).await?;
            tx.rollback().await?;
            return replayed(job, key.and_then(|key| key.fingerprint.as_ref()));
        }
        let violations = stage_body(&mut tx, job_id, buckets).await?;
        if !violations.is_empty() {
            tx.rollback().await?;
            return Err(Problem::invalid(violations));
        }
        let planned = match (order.action, &order.merge, order.user_ids.as_deref()) {
            (Action::Import, ..) => store::complete_plan(&mut tx, job_id, lease_token, None).await.map(|_| ()),
            (Action::Merge, Some(merge), Some([user_id])) => {
                self.plan_merge(&mut tx, (job_id, lease_token), *user_id, (merge, order.days)).await
            }
            (Action::Merge, ..) => Err(Problem::internal("a merge names no devices, or not one user")),
            (Action::Reprice, ..) => self.plan_reprice(&mut tx, (job_id, lease_token), order.book).await,
            _ => store::complete_user_plan(&mut tx, job_id, lease_token).await,
        };
        if let Err(refusal) = planned {
            tx.rollback().await?;
            return Err(refusal);
        }
        let job = read_job(&mut tx, job_id, None).await?;
        tx.commit().await?;
        Ok(Planned { job, replayed: false })
    }

    async fn plan_reprice(
        &self,
        tx: &mut Tx,
        (job_id, lease_token): (Uuid, Uuid),
        book: Option<i32>,
    ) -> Result<(), Problem> {
        let book = book.ok_or_else(|| Problem::internal("a reprice names no book"))?;
        store::complete_user_plan(tx, job_id, lease_token).await?;
        reprice::plan(tx, &self.prices, job_id, book).await
    }

    async fn plan_merge(
        &self,
        tx: &mut Tx,
        (job_id, lease_token): (Uuid, Uuid),
        user_id: Uuid,
        order: (&MergeOrder, Days),
    ) -> Result<(), Problem> {
        store::hold_off_forgetting(tx, jobs::PLANNING_LOCK).await?;
        merge::stage(tx, job_id, user_id, order, self.clock.now()).await?;
        store::complete_plan(tx, job_id, lease_token, None).await?;
        merge::complete(tx, job_id, user_id, order).await
    }

    /// Begins to plan a stream of lines. `Err` in the inner result is the job that an earlier request with this key has
    /// made: the caller compares the whole request and then says `replayed`.
    pub async fn begin_import(
        &self,
        context: &RequestContext,
        actor: Actor,
        key: Option<PlanKey>,
        order: &Order,
    ) -> Result<Result<Import<'_>, Job>, Problem> {
        let (job_id, lease_token) = (Uuid::now_v7(), Uuid::now_v7());
        let mut tx = self.pool.begin(context, Access::Worker, Mode::ReadWrite).await?;
        let users = "?user_ids";
        if !insert(&mut tx, context, actor, (job_id, lease_token), (order, users), key.as_ref()).await? {
            let job = keyed_job(&mut tx, key.as_ref()).await?;
            tx.rollback().await?;
            return if job.fingerprint.is_some() { Ok(Err(job)) } else { Err(unread(&job)) };
        }
        let sources = Arc::new(known_in(&mut tx).await?);
        tx.commit().await?;
        Ok(Ok(Import {
            backfills: self,
            context: context.clone(),
            job_id,
            lease_token,
            rules: order.rules(self.clock.now(), sources),
            lines: 0,
            staged_at: self.clock.now(),
            rows: BTreeMap::new(),
            exceptions: Vec::new(),
        }))
    }
}

/// The job of an earlier request with the same key. Errors: 422 where that was another request, 409 where its stream is
/// being read or was not read to its end.
pub fn replayed(job: Job, fingerprint: Option<&[u8; 32]>) -> Result<Planned, Problem> {
    let same = job.fingerprint.as_deref() == fingerprint.map(<[u8; 32]>::as_slice);
    match job.fingerprint {
        None => Err(unread(&job)),
        Some(_) if same => Ok(Planned { job, replayed: true }),
        Some(_) => Err(key_reused()),
    }
}

/// Nobody knows whether a stream that was not read to its end is the one that comes again.
fn unread(job: &Job) -> Problem {
    if job.is_leased {
        return key_in_progress();
    }
    let detail = format!("The stream of job {} ended before it was read; send it again under another key.", job.job_id);
    Problem::new(Code::Conflict, detail)
}

/// False where a job was made under the key before. Errors: 422 for users that do not exist, said of `users_pointer`.
async fn insert(
    tx: &mut Tx,
    context: &RequestContext,
    actor: Actor,
    (job_id, lease_token): (Uuid, Uuid),
    (order, users_pointer): (&Order, &'static str),
    key: Option<&PlanKey>,
) -> Result<bool, Problem> {
    if !store::insert_job(tx, job_id, lease_token, order, key).await? {
        return Ok(false);
    }
    if let Some(users) = &order.user_ids {
        let unknown = store::unknown_users(tx, users).await?;
        if let Some(first) = unknown.first() {
            let detail = format!("{} of these users do not exist; {first} is one.", unknown.len());
            return Err(Problem::invalid(vec![Violation::new(users_pointer, "unknown_user", detail)]));
        }
    }
    let mut details = json!({ "action": order.action.as_str(), "from": order.days.first, "to": order.days.last });
    if let Some(merge) = &order.merge {
        details["from_device_id"] = json!(merge.from_device_id);
        details["into_device_id"] = json!(merge.into_device_id);
    }
    if let Some(book) = order.book {
        details["book"] = json!(book);
    }
    let subject = job_id.to_string();
    let act = Act { action: "backfill.plan", subject: &subject, reason: Some(&order.reason), details: &details };
    audit::record_act(tx, context.request_id, actor, act).await?;
    Ok(true)
}

async fn keyed_job(tx: &mut Tx, key: Option<&PlanKey>) -> Result<Job, Problem> {
    let key = key.ok_or_else(|| Problem::internal("a job without a key met another"))?;
    let job_id = store::find_keyed_job(tx, key).await?;
    read_job(tx, job_id.ok_or_else(|| Problem::internal("a key's job is gone"))?, None).await
}

/// What a line says wrongly, and what was expected. A name that is no field's may be a secret and is not kept.
fn expected(violation: &Violation) -> Option<(String, String)> {
    let field = violation.pointer.strip_prefix('/').filter(|name| imported::FIELDS.contains(name))?;
    Some((field.to_owned(), violation.detail.clone()))
}

/// A stream of lines on its way into a plan.
#[derive(Debug)]
pub struct Import<'a> {
    backfills: &'a Backfills,
    context: RequestContext,
    job_id: Uuid,
    lease_token: Uuid,
    rules: ImportRules,
    lines: i64,
    /// When a batch was staged last.
    staged_at: DateTime<Utc>,
    /// What waits to be staged, by key: sorted and distinct, as the statement wants it.
    rows: BTreeMap<BucketKey, (i64, Imported)>,
    exceptions: Vec<Exception>,
}

impl Import<'_> {
    /// Takes a line. What is wrong with it is listed.
    pub fn take(&mut self, number: i64, line: ImportLine<'_>) {
        self.lines += 1;
        let ImportLine::Text(text) = line else {
            return self.refuse(number, None, "line_too_long", None);
        };
        let Ok(mut fields) = FieldReader::of_body(text, &imported::FIELDS) else {
            return self.refuse(number, None, "malformed", None);
        };
        let read = imported::read(&mut fields, &self.rules);
        match read.filter(|_| fields.violations().is_empty()) {
            Some(bucket) if self.rows.contains_key(&bucket.key) => {
                self.refuse(number, Some(bucket.key), "duplicate_bucket", None);
            }
            Some(bucket) => {
                self.rows.insert(bucket.key.clone(), (number, bucket));
            }
            None => {
                let violation = fields.violations().first();
                let code = violation.map_or("malformed", |violation| violation.code);
                self.refuse(number, imported::key(&fields), code, violation.and_then(expected));
            }
        }
    }

    fn refuse(&mut self, line: i64, key: Option<BucketKey>, code: &str, expected: Option<(String, String)>) {
        let (kind, code) = (ExceptionKind::Poisoned, code.to_owned());
        self.exceptions.push(Exception { kind, line: Some(line), key, code, expected });
    }

    /// Whether it is time to stage what was taken.
    pub fn is_full(&self) -> bool {
        let waits = self.backfills.clock.now().signed_duration_since(self.staged_at);
        self.rows.len() >= BATCH_LINES || self.exceptions.len() >= BATCH_LINES || waits >= BATCH_PAUSE
    }

    /// Stages what was taken, in one transaction. Errors: 409 when the job was cancelled meanwhile; 413 for more than
    /// `MAX_LINES`.
    pub async fn stage(&mut self) -> Result<(), Problem> {
        if self.lines > MAX_LINES {
            self.fail("too_many_lines").await;
            let detail = format!("A stream has at most {MAX_LINES} lines; make several jobs.");
            return Err(Problem::new(Code::BatchTooLarge, detail));
        }
        let context = self.step(BATCH_LIMIT);
        let (lines, rows): (Vec<i64>, Vec<Imported>) = std::mem::take(&mut self.rows).into_values().unzip();
        let mut tx = self.backfills.pool.begin(&context, Access::Worker, Mode::ReadWrite).await?;
        store::hold_off_forgetting(&mut tx, jobs::PLANNING_LOCK).await?;
        for (position, code) in store::stage_rows(&mut tx, self.job_id, &rows).await? {
            self.refuse(lines[position], Some(rows[position].key.clone()), &code, None);
        }
        let exceptions = std::mem::take(&mut self.exceptions);
        let poisoned = i64::try_from(exceptions.len()).map_err(Problem::internal)?;
        if !store::hold_plan(&mut tx, self.job_id, self.lease_token, poisoned).await? {
            tx.rollback().await?;
            return Err(taken_away());
        }
        jobs::insert_exceptions(&mut tx, self.job_id, &exceptions).await?;
        tx.commit().await?;
        self.staged_at = self.backfills.clock.now();
        self.context.upstream.take_over(&context.upstream);
        Ok(())
    }

    /// All lines were taken. Errors: those of [`Import::stage`]; 422 for a stream without lines.
    pub async fn finish(mut self, fingerprint: Option<&[u8; 32]>) -> Result<Job, Problem> {
        if self.lines == 0 {
            self.fail("no_lines").await;
            return Err(Problem::invalid(vec![Violation::new("", "wrong_length", "The stream has no line.")]));
        }
        self.stage().await?;
        let context = self.step(SUMMARY_LIMIT);
        let mut tx = self.backfills.pool.begin(&context, Access::Worker, Mode::ReadWrite).await?;
        if !store::complete_plan(&mut tx, self.job_id, self.lease_token, fingerprint).await? {
            tx.rollback().await?;
            return Err(taken_away());
        }
        let job = read_job(&mut tx, self.job_id, None).await?;
        tx.commit().await?;
        self.context.upstream.take_over(&context.upstream);
        Ok(job)
    }

    /// The stream broke off: the job fails now, and not only when its lease has run out.
    pub async fn fail(&self, failure: &str) {
        let give_up = async {
            let context = self.step(BATCH_LIMIT);
            let mut tx = self.backfills.pool.begin(&context, Access::Worker, Mode::ReadWrite).await?;
            store::fail_plan(&mut tx, self.job_id, self.lease_token, failure).await?;
            tx.commit().await
        };
        if let Err(problem) = give_up.await {
            tracing::warn!(error = problem.source_chain(), "a broken stream's job fails when its lease runs out");
        }
    }

    /// A transaction of a stream has its own deadline, and the stream's request id.
    fn step(&self, limit: Duration) -> RequestContext {
        RequestContext::new(self.context.request_id, self.context.trace, limit).within(self.context.span.clone())
    }
}

fn taken_away() -> Problem {
    Problem::new(Code::Conflict, "The job was cancelled, or its stream paused for more than a minute.")
}
