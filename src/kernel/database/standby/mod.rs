//! Reads from a standby of PostgreSQL's own streaming replication. [Why so](../../../../docs/decisions/0058-reads-from-a-standby.md).
//!
//! A read takes a [`Mark`] of the primary, which all reads of a moment share. The standby opens a snapshot that sees
//! everything up to the mark, and the snapshot counts as soon as the primary shows everything that it sees. So whoever
//! asks next, wherever, is told no less. Whoever gets no such snapshot in time is told a [`Fallback`], and reads on the
//! primary.
//!
//! No read relies on what was found out before: each connection says at each opening whether it is a standby, of which
//! database, and how far it has come.

mod fallback;
mod health;
mod mark;
mod position;
mod store;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use fallback::Fallback;

use health::StandbyHealth;
use mark::{Mark, Marks};
use position::{POSITION, Position};

use super::pool::{Pool, PoolLoad};
use super::tx::{Access, Mode, Tx};
use crate::kernel::call::RequestContext;

/// A connection has to be had in this time, and to open a snapshot in as much.
const OPENING_LIMIT: Duration = Duration::from_millis(300);
/// How long either server is waited for until it has what the other one has. What is on its way takes a few milliseconds.
const CATCHING_UP: Duration = Duration::from_millis(50);
/// The first pause of a wait for the standby. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// A read may take this long on the standby, and a quarter of its caller's time at most. The rest is for the primary.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// A standby, and what is known of it. Clones share both.
#[derive(Clone, Debug)]
pub struct Standby(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    pool: Pool,
    marks: Marks,
    health: Mutex<StandbyHealth>,
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
    /// Reads through `pool` and takes marks through `primary`. Nobody asks it before the first look of [`Standby::watch`].
    pub fn new(pool: Pool, primary: Pool) -> Self {
        Self(Arc::new(Parts { pool, marks: Marks::new(primary), health: Mutex::default() }))
    }

    /// Opens a snapshot of one user's rows, and says as of when: everything acknowledged before that instant is in it, by the
    /// primary's clock, and nothing is that the primary does not show. Errors: why there is none.
    pub async fn begin(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        mode: Mode,
    ) -> Result<(Tx, DateTime<Utc>), Fallback> {
        self.health().admits(Instant::now())?;
        context.upstream.waits_for_turn();
        let opened = async {
            let mark = self.0.marks.next().await?;
            let tx = self.open(&part_of(context), &Access::Users(&[user_id]), mode, &mark).await?;
            Ok((tx, mark.at))
        };
        opened.await.inspect_err(|why| self.failed(*why))
    }

    /// A read was answered by it.
    pub fn answered(&self) {
        self.health().answered();
    }

    /// A read was not answered by it.
    pub fn failed(&self, why: Fallback) {
        self.health().failed(why, Instant::now());
    }

    /// How it stands.
    pub fn report(&self) -> StandbyReport {
        let health = self.health();
        StandbyReport { usable: health.usable(), lag: health.lag(Instant::now()) }
    }

    /// How busy its pool is.
    pub fn load(&self) -> PoolLoad {
        self.0.pool.load()
    }

    /// Waits until the connections are closed: at shutdown.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }

    /// Opens a snapshot that sees everything up to the mark, and nothing that the primary does not show.
    async fn open(
        &self,
        context: &RequestContext,
        access: &Access<'_>,
        mode: Mode,
        mark: &Arc<Mark>,
    ) -> Result<Tx, Fallback> {
        let mut tx = self.open_behind(context, access, mode, mark).await?;
        let (opened, mut newest) = (Instant::now(), mark.clone());
        // A commit is in the log a moment before the primary shows it, and so the standby may show it first.
        while !store::shows_no_more(&mut tx, &newest.shown).await.map_err(|problem| Fallback::of(&problem))? {
            if opened.elapsed() > CATCHING_UP {
                let _ = tx.rollback().await;
                return Err(Fallback::Ahead);
            }
            newest = self.0.marks.next().await?;
            newest.is_of_the_same(mark)?;
        }
        Ok(tx)
    }

    /// Opens a snapshot that sees everything up to the mark.
    async fn open_behind(
        &self,
        context: &RequestContext,
        access: &Access<'_>,
        mode: Mode,
        mark: &Mark,
    ) -> Result<Tx, Fallback> {
        let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let opened = self.0.pool.begin_asking(context, (access, mode), POSITION, OPENING_LIMIT).await;
            let (tx, row) = opened.map_err(|problem| Fallback::of(&problem))?;
            let position = row.as_ref().and_then(Position::of_row).ok_or(Fallback::Failed)?;
            let reached = position.has_reached(mark);
            if matches!(reached, Ok(()) | Err(Fallback::Behind)) {
                self.health().replayed(position.place);
            }
            if reached.is_ok() {
                return Ok(tx);
            }
            tx.rollback().await.map_err(|problem| Fallback::of(&problem))?;
            if reached != Err(Fallback::Behind) || began.elapsed() + pause > CATCHING_UP {
                return reached.and(Err(Fallback::Behind));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn health(&self) -> MutexGuard<'_, StandbyHealth> {
        self.0.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call as far as the standby may take part in it: what it takes is not missing on the primary.
fn part_of(context: &RequestContext) -> RequestContext {
    let limit = READ_LIMIT.min(context.remaining() / 4);
    RequestContext { deadline: Instant::now() + limit, ..context.clone() }
}
