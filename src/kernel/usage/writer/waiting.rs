//! Posts that wait for a writer task of their thread, and whose turn it is.
//!
//! A batch has its cost, whatever is in it. So a few posts that come while another batch is executed wait until its commit
//! begins, and are one batch then. That one is executed while the other waits for the disk. Where there is much to write,
//! several batches are executed at once.
//!
//! Unless they are few, a batch takes no more than half of the rows that are there. Clients post again when they are
//! answered: if one batch had them all, nobody would post while it is executed, and the processors would take turns with
//! resting.
//!
//! Posts stay on the thread that took them, unless its batches are held up by somebody's lock: then they go to another one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

use super::post::Post;
use super::room::WriterRoom;

/// Rows of one batch, at most, unless a single post has more: longer transactions are not faster (measured).
const BATCH_ROWS: usize = 1_000;
/// What a batch costs besides its rows, in rows (measured). So few are not divided.
const BATCH_COST_ROWS: usize = 20;
/// A batch of fewer rows than these waits for one that is being executed, because of that cost.
const ENOUGH_ROWS: usize = 250;
/// They wait for no longer than this: that batch may be held up by somebody's lock.
const PATIENCE: Duration = Duration::from_millis(10);
/// A batch that takes longer than this is held up.
const HELD_UP: Duration = Duration::from_millis(50);

/// The posts of one thread, and what its writer tasks share.
#[derive(Debug)]
pub(super) struct WaitingPosts {
    posts: Mutex<mpsc::UnboundedReceiver<Post>>,
    /// Which of the lanes is this one's.
    own: usize,
    all: Arc<AllLanes>,
}

/// What the writer tasks of all threads share.
#[derive(Debug)]
struct AllLanes {
    lanes: Vec<Lane>,
    /// Where posts have their places.
    room: WriterRoom,
    /// Held by whose batch is being executed.
    turn: Arc<Mutex<()>>,
}

/// One thread's queue, as the others see it.
#[derive(Debug)]
struct Lane {
    queue: mpsc::WeakUnboundedSender<Post>,
    writers: u32,
    /// As many of its writers wait for somebody's lock, or something else that takes long.
    held_up: AtomicU32,
}

impl Lane {
    fn is_held_up(&self) -> bool {
        self.held_up.load(Ordering::Relaxed) >= self.writers
    }
}

/// One writer that is held up, until it is dropped.
struct HeldUp<'lane>(&'lane Lane);

impl<'lane> HeldUp<'lane> {
    fn on(lane: &'lane Lane) -> Self {
        lane.held_up.fetch_add(1, Ordering::Relaxed);
        Self(lane)
    }
}

impl Drop for HeldUp<'_> {
    fn drop(&mut self) {
        self.0.held_up.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Dropped when the commit of the batch begins, or the batch has failed. `None` for who did not wait for its turn.
pub(super) type Turn = Option<OwnedMutexGuard<()>>;

impl WaitingPosts {
    /// A queue for each thread, by the number of its writers, and the ways into them. Posts have their places in `room`.
    pub(super) fn of_threads(
        writers: impl IntoIterator<Item = u32>,
        room: &WriterRoom,
    ) -> Vec<(mpsc::UnboundedSender<Post>, Self)> {
        let queues: Vec<_> = writers.into_iter().map(|writers| (writers, mpsc::unbounded_channel())).collect();
        let lane = |&(writers, (ref queue, _)): &(u32, (mpsc::UnboundedSender<Post>, _))| Lane {
            queue: queue.downgrade(),
            writers,
            held_up: AtomicU32::new(0),
        };
        let lanes = queues.iter().map(lane).collect();
        let all = Arc::new(AllLanes { lanes, room: room.clone(), turn: Arc::default() });
        let waiting = |own, posts| Self { posts: Mutex::new(posts), own, all: all.clone() };
        queues.into_iter().enumerate().map(|(own, (_, (queue, posts)))| (queue, waiting(own, posts))).collect()
    }

    /// The next posts, as many as one batch takes, and the turn to write them, unless that is not waited for; `None`
    /// when the queue is closed and empty.
    pub(super) async fn next_batch(&self, stop: &CancellationToken) -> Option<(Vec<Post>, Turn)> {
        let mut queue = self.posts.lock().await;
        let first = tokio::select! {
            post = queue.recv() => post?,
            () = stop.cancelled() => {
                queue.close();
                queue.recv().await?
            }
        };
        let mut rows = first.rows();
        let mut posts = vec![first];
        let mut fill = |queue: &mut mpsc::UnboundedReceiver<Post>| {
            let enough = self.all.room.taken().div_ceil(2).clamp(BATCH_COST_ROWS, BATCH_ROWS);
            while rows < enough
                && let Ok(post) = queue.try_recv()
            {
                rows += post.rows();
                posts.push(post);
            }
            rows
        };
        if fill(&mut queue) >= ENOUGH_ROWS {
            return Some((posts, None));
        }
        let turn = tokio::time::timeout(PATIENCE, self.all.turn.clone().lock_owned()).await.ok();
        fill(&mut queue);
        Some((posts, turn))
    }

    /// Waits for a batch. Where it is held up, whatever waits for this thread's writers goes to another thread meanwhile.
    pub(super) async fn not_behind<T>(&self, batch: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            written = batch => written,
            never = self.pass_on() => match never {},
        }
    }

    async fn pass_on(&self) -> Infallible {
        tokio::time::sleep(HELD_UP).await;
        let own = &self.all.lanes[self.own];
        let _held_up = HeldUp::on(own);
        loop {
            if self.way_out().is_some()
                && let Some(post) = self.posts.lock().await.recv().await
            {
                // Things may have changed since.
                if let Some(queue) = self.way_out().or_else(|| own.queue.upgrade())
                    && let Err(mpsc::error::SendError(post)) = queue.send(post)
                {
                    post.refuse_while_stopping();
                }
            } else {
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }

    /// The queue of a thread that is not held up; `None` as long as this one is not either.
    fn way_out(&self) -> Option<mpsc::UnboundedSender<Post>> {
        let AllLanes { lanes, .. } = &*self.all;
        if !lanes[self.own].is_held_up() {
            return None;
        }
        let others = lanes.iter().filter(|lane| !lane.is_held_up());
        others.filter_map(|lane| lane.queue.upgrade()).find(|queue| !queue.is_closed())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::DateTime;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::bucket::{HalfHour, Model, Source, TokenCounts};
    use crate::kernel::call::RequestContext;
    use crate::kernel::usage::snapshot::{Bucket, Rank, Stamp};
    use crate::kernel::usage::writer::recipient::Recipient;

    fn post(room: &WriterRoom, rows: usize) -> Post {
        let bucket = Bucket {
            hour_start: HalfHour::new(HalfHour::FIRST).unwrap(),
            source: Source::parse("codex").unwrap(),
            model: Model::parse("m").unwrap(),
            counts: TokenCounts::default(),
            stamp: Stamp { observed_at: DateTime::UNIX_EPOCH, stamped: true, rank: Rank::OnTime },
        };
        Post {
            user_id: Uuid::nil(),
            device_id: Uuid::nil(),
            context: RequestContext::internal(Duration::from_secs(1)),
            kind: None,
            buckets: vec![bucket; rows],
            records: Vec::new(),
            rejections: [].into(),
            key: None,
            recipient: Recipient::Caller(oneshot::channel().0),
            _room: room.take(rows).unwrap(),
        }
    }

    fn queue() -> (mpsc::UnboundedSender<Post>, WaitingPosts, CancellationToken) {
        let (posts, waiting) = WaitingPosts::of_threads([2], &WriterRoom::empty()).remove(0);
        (posts, waiting, CancellationToken::new())
    }

    fn send(posts: &mpsc::UnboundedSender<Post>, queue: &WaitingPosts, count: usize, rows: usize) {
        (0..count).for_each(|_| posts.send(post(&queue.all.room, rows)).unwrap());
    }

    fn rows(posts: &[Post]) -> usize {
        posts.iter().map(Post::rows).sum()
    }

    #[tokio::test]
    async fn posts_that_come_while_a_batch_is_on_its_way_are_the_next_batch() {
        let (posts, queue, stop) = queue();
        send(&posts, &queue, 1, 1);
        let (first, turn) = queue.next_batch(&stop).await.unwrap();
        assert!(rows(&first) == 1 && turn.is_some(), "nobody waits where nobody writes");
        send(&posts, &queue, 1, 1);
        let others = async {
            tokio::task::yield_now().await;
            send(&posts, &queue, 3, 1);
            drop(turn);
        };
        let (next, ()) = tokio::join!(queue.next_batch(&stop), others);
        let (next, turn) = next.unwrap();
        assert_eq!((rows(&next), turn.is_some()), (4, true));
    }

    #[tokio::test]
    async fn a_batch_leaves_half_of_what_is_there_to_others_unless_that_is_little() {
        let (posts, queue, stop) = queue();
        send(&posts, &queue, 61, 1);
        let (first, turn) = queue.next_batch(&stop).await.unwrap();
        drop(turn);
        // The first is written still, so that these are half of all, and not of the rest.
        let (second, turn) = queue.next_batch(&stop).await.unwrap();
        assert_eq!((rows(&first), rows(&second)), (31, 30));
        drop((first, second, turn));
        let mut sizes = Vec::new();
        for (count, size) in [(BATCH_COST_ROWS, 1), (3, BATCH_COST_ROWS), (1, 0)] {
            send(&posts, &queue, count, size);
            let (batch, _turn) = queue.next_batch(&stop).await.unwrap();
            sizes.push(rows(&batch));
        }
        assert_eq!(sizes, [BATCH_COST_ROWS, 2 * BATCH_COST_ROWS, BATCH_COST_ROWS], "a post is not divided");
        assert_eq!(queue.all.room.taken(), 0);
    }

    #[tokio::test]
    async fn a_batch_that_is_held_up_holds_others_up_for_a_moment_only_and_much_work_not_at_all() {
        let (posts, queue, stop) = queue();
        send(&posts, &queue, 1, 1);
        let held = queue.next_batch(&stop).await;
        send(&posts, &queue, 1, 1);
        let began = Instant::now();
        let (others, turn) = queue.next_batch(&stop).await.unwrap();
        assert!(rows(&others) == 1 && turn.is_none() && began.elapsed() >= PATIENCE);
        send(&posts, &queue, 10, ENOUGH_ROWS);
        let (much, turn) = queue.next_batch(&stop).await.unwrap();
        assert_eq!((rows(&much), turn.is_none()), (BATCH_ROWS, true));
        drop(held);
    }

    #[tokio::test]
    async fn what_waits_when_the_server_stops_is_taken_to_its_end() {
        let (posts, queue, stop) = queue();
        send(&posts, &queue, 3, BATCH_ROWS);
        stop.cancel();
        for _ in 0..3 {
            let batch = queue.next_batch(&stop).await;
            assert_eq!(batch.map(|(posts, _)| rows(&posts)), Some(BATCH_ROWS));
        }
        assert!(queue.next_batch(&stop).await.is_none());
        assert!(posts.send(post(&queue.all.room, 1)).is_err(), "nothing more is taken");
    }

    /// The queues of two threads with a writer each.
    fn two_queues() -> Vec<(mpsc::UnboundedSender<Post>, WaitingPosts)> {
        WaitingPosts::of_threads([1, 1], &WriterRoom::empty())
    }

    #[tokio::test]
    async fn what_waits_behind_a_batch_that_is_held_up_goes_to_another_thread() {
        let ([(posts, held_up), (_others, free)], stop) = (two_queues().try_into().unwrap(), CancellationToken::new());
        let later = async {
            send(&posts, &held_up, 1, 1);
            let (early, _turn) = free.next_batch(&stop).await.unwrap();
            send(&posts, &held_up, 2, 1);
            let (late, _turn) = free.next_batch(&stop).await.unwrap();
            rows(&early) + rows(&late)
        };
        let began = Instant::now();
        let taken = tokio::select! {
            () = held_up.not_behind(std::future::pending()) => unreachable!("it never ends"),
            taken = later => taken,
        };
        assert!((2..=3).contains(&taken) && began.elapsed() >= HELD_UP, "{taken}");
    }

    #[tokio::test]
    async fn a_batch_that_ends_in_time_passes_nothing_on() {
        let ([(posts, own), (_others, other)], stop) = (two_queues().try_into().unwrap(), CancellationToken::new());
        send(&posts, &own, 1, 1);
        assert_eq!(own.not_behind(async { 7 }).await, 7);
        assert_eq!(own.next_batch(&stop).await.map(|(posts, _)| rows(&posts)), Some(1));
        assert!(other.posts.lock().await.try_recv().is_err());
    }

    #[tokio::test]
    async fn where_all_are_held_up_posts_stay_in_their_places_until_one_is_not() {
        let [(posts, one), (_others, other)] = two_queues().try_into().unwrap();
        let ends = CancellationToken::new();
        send(&posts, &one, 3, 1);
        let held_later = async {
            tokio::time::sleep(HELD_UP).await;
            one.not_behind(std::future::pending::<()>()).await;
        };
        let looked = async {
            tokio::time::sleep(4 * HELD_UP).await;
            assert_eq!(one.posts.lock().await.len(), 3, "nobody is free to take them");
            ends.cancel();
            while other.posts.lock().await.len() < 3 {
                tokio::time::sleep(PATIENCE).await;
            }
        };
        let free_again = async { tokio::join!(other.not_behind(ends.cancelled()), looked) };
        tokio::select! {
            () = held_later => unreachable!("it never ends"),
            _ = free_again => {}
        }
    }
}
