//! Reads from a standby of PostgreSQL's own streaming replication. [Why so](../../../../docs/decisions/0058-reads-from-a-standby.md).
//!
//! The primary says what a reply says of itself, and how far its log has come then: a [`Mark`]. The standby reads the
//! numbers, in a snapshot that opens behind the mark. Whoever cannot have such a snapshot, or none in time, is told a
//! [`Fallback`] and reads on the primary.
//!
//! Each connection says at each opening whether it is a standby, of which database, and how far it has come. Only the
//! timeline is remembered, from one look to the next.

mod fallback;
mod position;
mod standing;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use fallback::Fallback;
pub use position::Mark;

use position::{FIRST_MARK, FIRST_POSITION, MARK, POSITION, Position};
use standing::Standing;

use super::pool::{Pool, PoolLoad};
use super::tx::{Access, Tx};
use crate::kernel::call::RequestContext;

/// A snapshot has to open in this time, together with the wait for a connection.
const OPENING_LIMIT: Duration = Duration::from_millis(300);
/// A standby that is behind a mark is waited for so long: what is on its way arrives in a few milliseconds.
const REPLAY_LIMIT: Duration = Duration::from_millis(50);
/// The first pause of that wait. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// A read may take this long on the standby, and a quarter of its caller's time at most. The rest is for the primary.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// A standby, and what is known of it. Clones share both.
#[derive(Clone, Debug)]
pub struct Standby(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: Pool,
    standing: Mutex<Standing>,
}

/// A standby at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyReport {
    /// Whether reads ask it. Errors: why not.
    pub usable: Result<(), Fallback>,
    /// How long ago the primary was where the standby has not come to yet; `None` while nobody knows.
    pub lag: Option<Duration>,
}

impl Standby {
    /// Reads through `pool`. Nobody asks it before the first look of [`Standby::watch`].
    pub fn new(pool: Pool) -> Self {
        Self(Arc::new(Parts { pool, standing: Mutex::default() }))
    }

    /// Whether a read may ask it now. Errors: why not.
    pub fn admits(&self) -> Result<(), Fallback> {
        self.standing().admits(Instant::now())
    }

    /// Ends a snapshot of the primary, and says how far the log has come. Errors: [`Fallback::NoMark`].
    pub async fn mark(snapshot: Tx) -> Result<Mark, Fallback> {
        Self::mark_by(snapshot, MARK).await
    }

    async fn mark_by(snapshot: Tx, question: &str) -> Result<Mark, Fallback> {
        let row = snapshot.rollback_asking(question).await.map_err(|_| Fallback::NoMark)?;
        row.as_ref().and_then(Mark::of_row).ok_or(Fallback::NoMark)
    }

    /// The call as far as the standby may take part in it: what it takes is not missing on the primary.
    pub fn part_of(context: &RequestContext) -> RequestContext {
        let limit = READ_LIMIT.min(context.remaining() / 4);
        RequestContext { deadline: Instant::now() + limit, ..context.clone() }
    }

    /// Opens a snapshot that sees everything before `mark`. Errors: why there is none.
    pub async fn begin(&self, context: &RequestContext, access: &Access<'_>, mark: &Mark) -> Result<Tx, Fallback> {
        self.begin_asking(context, access, mark, POSITION).await
    }

    async fn begin_asking(
        &self,
        context: &RequestContext,
        access: &Access<'_>,
        mark: &Mark,
        question: &str,
    ) -> Result<Tx, Fallback> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let opened = self.0.pool.begin_asking(context, access, question, OPENING_LIMIT).await;
            let (tx, row) = opened.map_err(|problem| Fallback::of(&problem))?;
            let position = row.as_ref().and_then(Position::of_row);
            let Some(position) = position else { return Err(Fallback::Failed) };
            let reached = self.standing().judge(&position, mark);
            if reached.is_ok() {
                return Ok(tx);
            }
            tx.rollback().await.map_err(|problem| Fallback::of(&problem))?;
            if reached != Err(Fallback::Behind) || began.elapsed() + pause > REPLAY_LIMIT {
                return reached.and(Err(Fallback::Behind));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// A read was answered by it.
    pub fn answered(&self) {
        self.standing().answered();
    }

    /// A read was not answered by it.
    pub fn failed(&self, why: Fallback) {
        self.standing().failed(why, Instant::now());
    }

    /// How it stands.
    pub fn report(&self) -> StandbyReport {
        let standing = self.standing();
        StandbyReport { usable: standing.usable(), lag: standing.lag(Instant::now()) }
    }

    /// How busy its pool is.
    pub fn load(&self) -> PoolLoad {
        self.0.pool.load()
    }

    /// Waits until the connections are closed: at shutdown.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
