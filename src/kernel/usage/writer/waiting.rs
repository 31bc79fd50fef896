//! Posts that wait for a writer task, and whose turn it is.
//!
//! A batch has its price, whatever is in it. So a few posts that come while another batch is executed wait until its commit
//! begins, and are one batch then. That one is executed while the other waits for the disk. Where there is much to write,
//! several batches are executed at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio_util::sync::CancellationToken;

use super::post::Post;

/// Rows of one batch, at most, unless a single post has more: longer transactions are not faster (measured).
const BATCH_ROWS: usize = 1_000;
/// Fewer rows than these wait for a batch that is being executed: a batch costs as much as twenty rows, whatever is in it
/// (measured).
const ENOUGH_ROWS: usize = 250;
/// They wait for no longer than this: that batch may be held up by somebody's lock.
const PATIENCE: Duration = Duration::from_millis(10);

/// What the writer tasks share.
#[derive(Debug)]
pub(super) struct WaitingPosts {
    posts: Mutex<mpsc::UnboundedReceiver<Post>>,
    /// Held by whose batch is being executed.
    turn: Arc<Mutex<()>>,
}

/// Dropped when the commit of the batch begins, or the batch has failed. `None` for who did not wait for its turn.
pub(super) type Turn = Option<OwnedMutexGuard<()>>;

impl WaitingPosts {
    /// Posts come out of `posts`.
    pub(super) fn new(posts: mpsc::UnboundedReceiver<Post>) -> Self {
        Self { posts: Mutex::new(posts), turn: Arc::default() }
    }

    /// The next posts, as many as fit a batch, and the turn to write them, unless that is not waited for; `None` when the
    /// queue is closed and empty.
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
            while rows < BATCH_ROWS
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
        let turn = tokio::time::timeout(PATIENCE, self.turn.clone().lock_owned()).await.ok();
        fill(&mut queue);
        Some((posts, turn))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use chrono::DateTime;
    use tokio::sync::{Semaphore, oneshot};
    use uuid::Uuid;

    use super::*;
    use crate::kernel::bucket::{HalfHour, Model, Source, TokenCounts};
    use crate::kernel::call::RequestContext;
    use crate::kernel::usage::snapshot::{Bucket, Rank, Stamp};
    use crate::kernel::usage::writer::recipient::Recipient;

    fn post(rows: usize) -> Post {
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
            _room: Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap(),
        }
    }

    fn queue() -> (mpsc::UnboundedSender<Post>, WaitingPosts, CancellationToken) {
        let (posts, waiting) = mpsc::unbounded_channel();
        (posts, WaitingPosts::new(waiting), CancellationToken::new())
    }

    async fn rows(queue: &WaitingPosts, stop: &CancellationToken) -> Option<(usize, Turn)> {
        let (posts, turn) = queue.next_batch(stop).await?;
        Some((posts.iter().map(Post::rows).sum(), turn))
    }

    #[tokio::test]
    async fn posts_that_come_while_a_batch_is_on_its_way_are_the_next_batch() {
        let (posts, queue, stop) = queue();
        posts.send(post(1)).unwrap();
        let (first, turn) = rows(&queue, &stop).await.unwrap();
        assert!(first == 1 && turn.is_some(), "nobody waits where nobody writes");
        posts.send(post(1)).unwrap();
        let others = async {
            tokio::task::yield_now().await;
            (0..3).for_each(|_| posts.send(post(1)).unwrap());
            drop(turn);
        };
        let (next, ()) = tokio::join!(rows(&queue, &stop), others);
        let (next, turn) = next.unwrap();
        assert_eq!((next, turn.is_some()), (4, true));
    }

    #[tokio::test]
    async fn a_batch_that_is_held_up_holds_others_up_for_a_moment_only_and_much_work_not_at_all() {
        let (posts, queue, stop) = queue();
        posts.send(post(1)).unwrap();
        let held = rows(&queue, &stop).await;
        posts.send(post(1)).unwrap();
        let began = Instant::now();
        let (others, turn) = rows(&queue, &stop).await.unwrap();
        assert!(others == 1 && turn.is_none() && began.elapsed() >= PATIENCE);
        for _ in 0..5 {
            posts.send(post(ENOUGH_ROWS)).unwrap();
        }
        let (much, turn) = rows(&queue, &stop).await.unwrap();
        assert_eq!((much, turn.is_none()), (BATCH_ROWS, true));
        drop(held);
    }

    #[tokio::test]
    async fn what_waits_when_the_server_stops_is_taken_to_its_end() {
        let (posts, queue, stop) = queue();
        for _ in 0..3 {
            posts.send(post(BATCH_ROWS)).unwrap();
        }
        stop.cancel();
        for _ in 0..3 {
            assert_eq!(rows(&queue, &stop).await.map(|(rows, _)| rows), Some(BATCH_ROWS));
        }
        assert!(rows(&queue, &stop).await.is_none());
        assert!(posts.send(post(1)).is_err(), "nothing more is taken");
    }
}
