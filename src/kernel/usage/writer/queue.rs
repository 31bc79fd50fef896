//! The trackers' door: bounded queues of posts, and the tasks that write them down in batches.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{Batcher, without_execution};
use super::newness::Newness;
use super::post::Post;
use super::recipient::{InFlight, Joined, Recipient, unanswered};
use super::room::WriterRoom;
use super::verdict::Verdict;
use super::waiting::WaitingPosts;
use super::written::{Rejections, Written, in_their_places};
use crate::kernel::access::Device;
use crate::kernel::call::{PerThread, Threads};
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool};
use crate::kernel::idempotency::{self, IdempotencyKey};
use crate::kernel::problem::{Code, Problem};
use crate::kernel::usage::record::UsageRecord;
use crate::kernel::usage::relay_notifier::Signal;
use crate::kernel::usage::snapshot::Bucket;

/// The tracker's door. Clones share the queues.
#[derive(Clone, Debug)]
pub struct Writer {
    queues: PerThread<mpsc::UnboundedSender<Post>>,
    room: WriterRoom,
    in_flight: InFlight,
    pool: Pool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Writer {
    /// Starts the writer tasks, one for each connection that `pool` may open: while one waits for its commit another fills
    /// and sends the next batch. Each part of the pool has a queue of its own, and its tasks run on the thread whose part
    /// it is.
    pub fn start(threads: &Threads, pool: &Pool, clock: &Clock, signal: &Signal) -> Self {
        let room = WriterRoom::empty();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut queues = Vec::new();
        let waiting = WaitingPosts::of_threads(pool.max_of_parts(), &room);
        for ((writers, runtime), (queue, posts)) in pool.max_of_parts().zip(threads.runtimes()).zip(waiting) {
            let posts = Arc::new(posts);
            for _ in 0..writers {
                let batcher = Batcher {
                    pool: pool.clone(),
                    clock: clock.clone(),
                    signal: signal.clone(),
                    newness: Newness::default(),
                };
                tasks.spawn_on(batcher.run(posts.clone(), stop.clone()), runtime);
            }
            queues.push(queue);
        }
        tasks.close();
        let queues = PerThread::new(threads, |number| queues[number % queues.len()].clone());
        Self { queues, room, in_flight: InFlight::default(), pool: pool.clone(), stop, tasks }
    }

    /// Rows that wait or are being written; a post without buckets counts as one.
    pub fn queued_rows(&self) -> usize {
        self.room.taken()
    }

    /// Whether so many rows would fit just now. Errors: 503 `overloaded`.
    pub(in crate::kernel::usage) fn check_room(&self, rows: usize) -> Result<(), Problem> {
        if self.room.free() < rows { Err(overloaded()) } else { Ok(()) }
    }

    /// Takes nothing more, writes what waits and ends the tasks.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }

    /// Writes a device's snapshots; when it returns `Ok` they are durable. `rejections` name the places between them, and
    /// are answered, and with a key recorded, beside the verdicts. A caller that goes away before its turn is skipped,
    /// unless it brought a key.
    ///
    /// Errors: 503 `overloaded` at once when the queue is full; 409 and 422 for a key; the database's 503 and 504.
    pub(in crate::kernel::usage) async fn write(
        &self,
        device: &Device,
        buckets: Vec<Bucket>,
        rejections: Rejections,
        key: Option<IdempotencyKey>,
    ) -> Result<Written, Problem> {
        let request_id = device.context().request_id;
        match key {
            None if buckets.is_empty() => {
                let verdicts = in_their_places(&[], &rejections);
                Ok(Written { request_id, verdicts, rejections, replayed: false })
            }
            None => self.write_unkeyed(device, (buckets, Vec::new()), rejections).await,
            Some(key) => self.write_once(device, buckets, rejections, key).await,
        }
    }

    /// Adds a device's records to its buckets, each once; when it returns `Ok` they are durable. One verdict a record. A
    /// caller that goes away before its turn is skipped.
    ///
    /// Errors: 503 `overloaded` at once when the queue is full; 409 for a device that takes snapshots; 422 where a bucket
    /// would hold too much; the database's 503 and 504.
    pub(in crate::kernel::usage) async fn count(
        &self,
        device: &Device,
        records: Vec<UsageRecord>,
    ) -> Result<Vec<Verdict>, Problem> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.write_unkeyed(device, (Vec::new(), records), Rejections::default()).await?.verdicts)
    }

    /// The answer that a key has already got, for a request that the rules of today would refuse. Errors: 409 while
    /// another process executes it, 422 where the key stands for another request, 500 for an answer of a newer release;
    /// the database's 503 and 504.
    pub(in crate::kernel::usage) async fn answered(
        &self,
        device: &Device,
        key: &IdempotencyKey,
    ) -> Result<Option<Written>, Problem> {
        let users = [device.user_id()];
        let mut tx = self.pool.begin(device.context(), Access::Users(&users), Mode::ReadWrite).await?;
        let claim = idempotency::claim_keys(&mut tx, &users, &[key]).await?.pop();
        tx.rollback().await?;
        let answer = claim.and_then(|claim| without_execution(key, claim, true)).transpose()?;
        if answer.is_some() {
            device.context().upstream.keyed("replayed");
        }
        Ok(answer)
    }

    async fn write_unkeyed(
        &self,
        device: &Device,
        rows: (Vec<Bucket>, Vec<UsageRecord>),
        rejections: Rejections,
    ) -> Result<Written, Problem> {
        let (caller, answer) = oneshot::channel();
        self.enqueue(device, rows, rejections, None, Recipient::Caller(caller));
        answer.await.map_err(|_| unanswered())?
    }

    /// Joins the execution of the same key in this process, or begins one that outlives its caller.
    async fn write_once(
        &self,
        device: &Device,
        buckets: Vec<Bucket>,
        rejections: Rejections,
        key: IdempotencyKey,
    ) -> Result<Written, Problem> {
        let (caller, answer) = oneshot::channel();
        let upstream = &device.context().upstream;
        let joined = match self.in_flight.join(&key, upstream, caller)? {
            Joined::Executes(execution) => {
                self.enqueue(device, (buckets, Vec::new()), rejections, Some(key), Recipient::Execution(execution));
                None
            }
            Joined::Waits(other) => {
                upstream.waits_for(&other);
                Some(other)
            }
        };
        let answer = answer.await.map_err(|_| unanswered())?;
        if let Some(joined) = joined {
            upstream.take_over(&joined);
        }
        if let Ok(written) = &answer {
            upstream.keyed(if written.replayed { "replayed" } else { "executed" });
        }
        answer
    }

    /// Puts a post into this thread's queue. What cannot be is answered at once.
    fn enqueue(
        &self,
        device: &Device,
        (buckets, records): (Vec<Bucket>, Vec<UsageRecord>),
        rejections: Rejections,
        key: Option<IdempotencyKey>,
        recipient: Recipient,
    ) {
        let rows = (buckets.len() + records.len()).max(1);
        let Some(room) = self.room.take(rows) else { return recipient.send(Err(overloaded())) };
        device.context().upstream.waits_for_turn();
        let post = Post {
            user_id: device.user_id(),
            device_id: device.device_id(),
            context: device.context().clone(),
            kind: device.kind(),
            buckets,
            records,
            rejections,
            key,
            recipient,
            _room: room,
        };
        if let Err(mpsc::error::SendError(post)) = self.queues.here().send(post) {
            post.refuse_while_stopping();
        }
    }
}

fn overloaded() -> Problem {
    Problem::new(Code::Overloaded, "The writer's queue is full; nothing was written.")
}
