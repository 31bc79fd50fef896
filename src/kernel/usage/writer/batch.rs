//! A batch: many devices' posts in one transaction, and who is answered what when it fails.
//!
//! A batch that fails through someone's data is split until only the culprit fails. A passing failure is tried again.
//! Any other failure is everybody's answer: nothing was written, or (after an ambiguous commit) sending the same again
//! is safe.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::counting::{RecordEntry, count_in};
use super::entry::{Cause, Entry};
use super::kept::count_kept;
use super::kinds::{decide, other_kind};
use super::newness::{Insertion, Newness, insert_new_buckets};
use super::post::Post;
use super::stored_answer;
use super::verdict::Verdict;
use super::versions::{WriteOptions, write_in};
use super::waiting::{Turn, WaitingPosts};
use super::written::{Written, in_their_places};
use crate::kernel::call::{CallSpan, Evidence, RequestContext};
use crate::kernel::clock::{Clock, jittered};
use crate::kernel::database::{Access, Mode, Pool, Tx, broken_constraint, is_data_fault, is_transient};
use crate::kernel::idempotency::{self, Claim, IdempotencyKey, NewRecord, Record};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::erasure;
use crate::kernel::usage::outbox::Lane;
use crate::kernel::usage::relay_notifier::Signal;

/// A batch has its own time, not its shortest member's.
const BATCH_LIMIT: Duration = Duration::from_secs(5);
/// How often a passing failure is tried again.
const RETRIES: u32 = 2;

/// One writer task's means.
#[derive(Clone, Debug)]
pub(super) struct Batcher {
    pub(super) pool: Pool,
    pub(super) clock: Clock,
    pub(super) signal: Signal,
    pub(super) newness: Newness,
}

type Answer = Result<Written, Problem>;

impl Batcher {
    /// Writes batches until `stop`, and then what is left in the queue.
    pub(super) async fn run(mut self, queue: Arc<WaitingPosts>, stop: CancellationToken) {
        while let Some((posts, turn)) = queue.next_batch(&stop).await {
            // A bug must cost one batch, not the writer.
            let written = AssertUnwindSafe(self.write(posts, turn)).catch_unwind();
            if queue.not_behind(written).await.is_err() {
                tracing::error!("a writer task panicked; its batch is answered as an internal error");
            }
        }
    }

    async fn write(&mut self, posts: Vec<Post>, mut turn: Turn) {
        // Nobody waits for these, so they never start.
        let posts = posts.into_iter().filter(|post| !post.recipient.is_gone());
        // A transaction that locked buckets for snapshots and then others for records would lock them out of order.
        let (counting, snapshots) = posts.partition(|post| !post.records.is_empty());
        let mut groups: Vec<Vec<Post>> = vec![counting, snapshots];
        while let Some(mut group) = groups.pop() {
            if group.is_empty() {
                continue;
            }
            let span = self.pool.tracer().begin_work("writer_batch", group.iter().map(|post| &post.context.span));
            let context = RequestContext::internal(BATCH_LIMIT).within(span);
            for post in &group {
                post.context.upstream.waits_for(&context.upstream);
            }
            let result = self.attempts(&context, &group, &mut turn).await;
            for post in &group {
                post.context.upstream.take_over(&context.upstream);
                post.context.span.link_to(&context.span);
            }
            end_span(&context.span, &group, &result);
            match result {
                Ok(answers) => {
                    let rows: usize = group.iter().map(Post::rows).sum();
                    metrics::histogram!("halfhour_writer_batch_rows")
                        .record(u32::try_from(rows).map_or(0.0, f64::from));
                    note_kept(&answers);
                    self.signal.wake_for(group.iter().map(|post| post.user_id));
                    for (post, answer) in group.into_iter().zip(answers) {
                        // What the database answered to the others says nothing of a post that left the batch.
                        if answer.as_ref().is_err_and(|problem| problem.code() == Code::DatabaseConflict) {
                            post.context.upstream.not_asked(Evidence::Queued);
                        }
                        post.recipient.send(answer);
                    }
                }
                Err(problem) if group.len() > 1 && is_of_one_post(&problem) => {
                    let second = group.split_off(group.len() / 2);
                    groups.extend([second, group]);
                }
                Err(problem) => group.into_iter().for_each(|post| post.recipient.send(Err(problem.clone()))),
            }
        }
    }

    /// Errors: what the last attempt failed with.
    async fn attempts(
        &mut self,
        context: &RequestContext,
        posts: &[Post],
        turn: &mut Turn,
    ) -> Result<Vec<Answer>, Problem> {
        let mut attempt = 0;
        loop {
            let problem = match self.attempt(context, posts, attempt, turn).await {
                Ok(answers) => return Ok(answers),
                Err(problem) => problem,
            };
            if self.newness.is_expected() && problem.database_error().and_then(broken_constraint) == Some("bucket_pkey")
            {
                // What the other one inserted is seen now, and compared.
                Insertion::Raced.count();
                self.newness.learn(false);
                continue;
            }
            let passing = problem.database_error().is_some_and(is_transient);
            let pause = jittered(Duration::from_millis(20 << (2 * attempt)));
            if !passing || attempt == RETRIES || context.remaining() <= pause || !self.pool.may_retry() {
                return Err(problem);
            }
            tokio::time::sleep(pause).await;
            context.upstream.retried();
            attempt += 1;
        }
    }

    /// One transaction. One answer a post, in order. The turn ends where the commit begins.
    async fn attempt(
        &mut self,
        context: &RequestContext,
        posts: &[Post],
        attempt: u32,
        turn: &mut Turn,
    ) -> Result<Vec<Answer>, Problem> {
        let causes = causes(posts);
        let users: Vec<Uuid> = causes.iter().map(|cause| cause.user_id).collect();
        let mut tx = self.pool.begin(context, Access::Users(&users), Mode::ReadWrite).await?;
        match self.execute(&mut tx, posts, &causes, &users, attempt).await {
            Ok(answers) => {
                drop(turn.take());
                tx.commit().await.map(|()| answers)
            }
            Err(problem) => {
                // At once, so that the next attempt finds its keys unlocked; a lost connection has lost them already.
                let _ = tx.rollback().await;
                Err(problem)
            }
        }
    }

    async fn execute(
        &mut self,
        tx: &mut Tx,
        posts: &[Post],
        causes: &[Cause],
        users: &[Uuid],
        attempt: u32,
    ) -> Result<Vec<Answer>, Problem> {
        let mut answers = claimed(tx, posts, attempt).await?;
        // Posts of users who are being erased leave the batch, so that nobody else waits.
        let erasing = erasure::hold_off_erasures(tx, users).await?;
        for (post, answer) in posts.iter().zip(&mut answers) {
            if erasing.contains(&post.user_id) {
                answer.get_or_insert_with(|| Err(erasure::under_way()));
            }
        }
        refuse_other_kinds(tx, posts, &mut answers).await?;
        if posts.iter().any(|post| !post.records.is_empty()) {
            self.count(tx, posts, causes, &mut answers).await?;
            return Ok(answers.into_iter().flatten().collect());
        }

        let mut entries = Vec::new();
        let mut places: Vec<(usize, Range<usize>)> = Vec::new();
        for (position, post) in posts.iter().enumerate().filter(|(position, _)| answers[*position].is_none()) {
            let (user_id, device_id, first) = (post.user_id, post.device_id, entries.len());
            entries.extend(post.buckets.iter().map(|bucket| Entry { user_id, device_id, bucket }));
            places.push((position, first..entries.len()));
        }
        let verdicts = self.write_entries(tx, &entries, causes).await?;
        count_kept(tx, &entries, &verdicts, self.clock.now()).await?;
        let mut records = Vec::new();
        for (position, place) in places {
            let post = &posts[position];
            let verdicts = in_their_places(&verdicts[place], &post.rejections);
            records.extend(record(post, &verdicts)?);
            let (request_id, rejections) = (post.context.request_id, post.rejections.clone());
            answers[position] = Some(Ok(Written { request_id, verdicts, rejections, replayed: false }));
        }
        idempotency::record_posts(tx, &records).await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// One verdict for each entry, in order.
    async fn write_entries(
        &mut self,
        tx: &mut Tx,
        entries: &[Entry<'_>],
        causes: &[Cause],
    ) -> Result<Vec<Verdict>, Problem> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let is_expected = self.newness.is_expected();
        if is_expected && insert_new_buckets(tx, entries, causes, &self.clock).await? {
            Insertion::New.count();
            return Ok(vec![Verdict::Inserted; entries.len()]);
        }
        if is_expected {
            Insertion::Declined.count();
        }
        let door =
            WriteOptions { causes, lane: Lane::Live, backfill_id: None, only_inserts: false, clock: &self.clock };
        let verdicts = write_in(tx, entries, door).await?;
        self.newness.learn(!is_expected && verdicts.iter().all(|verdict| *verdict == Verdict::Inserted));
        Ok(verdicts)
    }

    /// Adds the records of posts that have no answer yet.
    async fn count(
        &self,
        tx: &mut Tx,
        posts: &[Post],
        causes: &[Cause],
        answers: &mut [Option<Answer>],
    ) -> Result<(), Problem> {
        let open = || posts.iter().enumerate().filter(|(position, _)| answers[*position].is_none());
        let entries: Vec<RecordEntry<'_>> = open()
            .flat_map(|(_, post)| {
                let (user_id, device_id) = (post.user_id, post.device_id);
                post.records.iter().map(move |record| RecordEntry { user_id, device_id, record })
            })
            .collect();
        let places: Vec<usize> = open().map(|(position, _)| position).collect();
        let mut verdicts = count_in(tx, &entries, causes, &self.clock).await?.into_iter();
        for position in places {
            let post = &posts[position];
            let verdicts = verdicts.by_ref().take(post.records.len()).collect();
            let (request_id, rejections) = (post.context.request_id, post.rejections.clone());
            answers[position] = Some(Ok(Written { request_id, verdicts, rejections, replayed: false }));
        }
        Ok(())
    }
}

/// True where splitting the batch leaves the others unharmed.
fn is_of_one_post(problem: &Problem) -> bool {
    problem.database_error().is_some_and(is_data_fault) || problem.code() == Code::Invalid
}

/// Answers posts of devices that do the other thing. Only the first posts of devices cost a statement.
async fn refuse_other_kinds(tx: &mut Tx, posts: &[Post], answers: &mut [Option<Answer>]) -> Result<(), Problem> {
    let undecided = |post: &Post| post.kind.is_none().then(|| post.asks()).flatten();
    let mut asked = BTreeMap::new();
    for (post, _) in posts.iter().zip(answers.iter()).filter(|(_, answer)| answer.is_none()) {
        if let Some(kind) = undecided(post) {
            asked.insert((post.user_id, post.device_id), kind);
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    let decided = decide(tx, &asked).await?;
    for (post, answer) in posts.iter().zip(answers) {
        let device = (post.user_id, post.device_id);
        if let Some(kind) = undecided(post).filter(|kind| decided.get(&device).is_some_and(|decided| decided != kind)) {
            answer.get_or_insert_with(|| Err(other_kind(kind)));
        }
    }
    Ok(())
}

fn end_span(span: &CallSpan, posts: &[Post], result: &Result<Vec<Answer>, Problem>) {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    span.note("halfhour.batch.posts", count(posts.len()));
    span.note("halfhour.batch.rows", count(posts.iter().map(|post| post.buckets.len()).sum()));
    if let Err(problem) = result {
        span.fail(problem.code().as_str());
    }
    span.end();
}

/// Counts what was kept out by now. A replay has been counted before.
fn note_kept(answers: &[Answer]) {
    let executed = answers.iter().flatten().filter(|written| !written.replayed);
    let kept = executed.flat_map(|written| &written.verdicts).filter(|verdict| **verdict == Verdict::Kept).count();
    if kept > 0 {
        metrics::counter!("halfhour_kept_total").increment(u64::try_from(kept).unwrap_or(u64::MAX));
    }
}

/// The users of a batch, each once, with the request that their events are put down to: the first one that is sampled.
fn causes(posts: &[Post]) -> Vec<Cause> {
    let mut posts: Vec<&Post> = posts.iter().collect();
    posts.sort_by_key(|post| (post.user_id, !post.context.trace.is_sampled()));
    posts.dedup_by_key(|post| post.user_id);
    let cause = |post: &Post| Cause {
        user_id: post.user_id,
        request_id: post.context.request_id,
        traceparent: post.context.trace.traceparent(),
    };
    posts.into_iter().map(cause).collect()
}

/// The answers that keys give without an execution; `None` for the posts to execute.
async fn claimed(tx: &mut Tx, posts: &[Post], attempt: u32) -> Result<Vec<Option<Answer>>, Problem> {
    let mut answers: Vec<Option<Answer>> = posts.iter().map(|_| None).collect();
    let keyed: Vec<(usize, Uuid, &IdempotencyKey)> = posts
        .iter()
        .enumerate()
        .filter_map(|(position, post)| Some((position, post.user_id, post.key.as_ref()?)))
        .collect();
    if keyed.is_empty() {
        return Ok(answers);
    }
    let users: Vec<Uuid> = keyed.iter().map(|(_, user_id, _)| *user_id).collect();
    let keys: Vec<&IdempotencyKey> = keyed.iter().map(|(.., key)| *key).collect();
    let claims = idempotency::claim_keys(tx, &users, &keys).await?;
    for ((position, _, key), claim) in keyed.into_iter().zip(claims) {
        // After an ambiguous commit the record is this very request's.
        answers[position] = without_execution(key, claim, attempt == 0);
    }
    Ok(answers)
}

/// The answer that a key gives by itself; `None` where the request is to be executed.
pub(super) fn without_execution(key: &IdempotencyKey, claim: Claim, replayed: bool) -> Option<Answer> {
    match claim {
        Claim::Mine => None,
        Claim::Running => Some(Err(idempotency::key_in_progress())),
        Claim::Recorded(record) if !key.matches(&record) => Some(Err(idempotency::key_reused())),
        Claim::Recorded(record) => Some(replay(&record, replayed)),
    }
}

/// Errors: 500 for an answer of a newer release.
fn replay(record: &Record, replayed: bool) -> Answer {
    let (verdicts, rejections) = stored_answer::answer(record)?;
    Ok(Written { request_id: record.request_id, verdicts, rejections: rejections.into(), replayed })
}

/// What is to be recorded of a post that has a key.
fn record<'post>(post: &'post Post, verdicts: &[Verdict]) -> Result<Option<NewRecord<'post>>, Problem> {
    let Some(key) = &post.key else { return Ok(None) };
    let (verdicts, rejections) = stored_answer::stored(verdicts, &post.rejections)?;
    let (user_id, device_id, request_id) = (post.user_id, post.device_id, post.context.request_id);
    Ok(Some(NewRecord { key, user_id, device_id, request_id, verdicts, rejections }))
}
