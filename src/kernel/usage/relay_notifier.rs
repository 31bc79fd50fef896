//! Tells relays that there may be new events.
//!
//! Whoever commits events wakes the relays of its own process at once, and those of other processes
//! by `NOTIFY`. A wake is a hint that may be lost, so every relay also looks by itself each second.
//!
//! `NOTIFY` is sent after the commit, on a connection of its own, and at most ten times a second.
//! Inside the writer's transaction it would make commits wait for each other.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::kernel::call::RequestContext;
use crate::kernel::clock::jittered;
use crate::kernel::database::{Access, Listener, Mode, Pool};
use crate::kernel::problem::Problem;

/// What relays listen to.
const CHANNEL: &str = "halfhour_outbox";
/// The pause after an announcement; what is committed meanwhile shares the next one.
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_millis(100);
/// An announcement may take this long.
const LIMIT: Duration = Duration::from_secs(5);
/// How long to wait with the next attempt when the database cannot be reached.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);

/// Wakes relays. A wake that comes while one of them works is kept for it.
#[derive(Clone, Debug)]
pub struct Signal(Arc<Wakeful>);

#[derive(Debug)]
struct Wakeful {
    /// For each relay of this process.
    here: Vec<Notify>,
    /// For those of other processes.
    elsewhere: Notify,
}

impl Default for Signal {
    fn default() -> Self {
        Self::of(1)
    }
}

impl Signal {
    /// For so many relays in this process.
    pub fn of(relays: usize) -> Self {
        Self(Arc::new(Wakeful { here: (0..relays).map(|_| Notify::new()).collect(), elsewhere: Notify::new() }))
    }

    /// There may be new events, committed by this process.
    pub fn wake(&self) {
        self.wake_here();
        self.0.elsewhere.notify_one();
    }

    fn wake_here(&self) {
        self.0.here.iter().for_each(Notify::notify_one);
    }

    /// Waits for the next wake of the first relay.
    pub async fn woken(&self) {
        self.woken_at(0).await;
    }

    /// Waits for the next wake of the relay with that number, from 0 on.
    pub async fn woken_at(&self, number: usize) {
        match self.0.here.get(number) {
            Some(here) => here.notified().await,
            None => std::future::pending().await,
        }
    }
}

/// Carries wakes between processes.
#[derive(Clone, Debug)]
pub struct RelayNotifier {
    pool: Pool,
    signal: Signal,
    /// Tells this process's announcements from others'.
    process: Uuid,
}

impl RelayNotifier {
    /// Its own two connections to `database`: one speaks, one listens.
    pub fn new(database: &PgConnectOptions, signal: Signal) -> Self {
        Self { pool: Pool::new(database.clone(), "wakes", 2), signal, process: Uuid::now_v7() }
    }

    /// Announces this process's wakes to the others, until `stop`.
    pub async fn announce(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.signal.0.elsewhere.notified() => {}
            }
            let pause = match self.notify_relays().await {
                Ok(()) => BETWEEN_ANNOUNCEMENTS,
                Err(problem) => {
                    tracing::debug!(error = problem.source_chain(), "other relays could not be woken; they poll");
                    jittered(FAILURE_PAUSE)
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn notify_relays(&self) -> Result<(), Problem> {
        let context = RequestContext::internal(LIMIT);
        let mut tx = self.pool.begin(&context, Access::NOBODY, Mode::ReadWrite).await?;
        sqlx::query_file!("src/kernel/usage/notify_relays.sql", CHANNEL, self.process.to_string())
            .execute(&mut tx)
            .await?;
        tx.commit().await
    }

    /// Takes other processes' announcements to the relays of this one, until `stop`. A connection that is lost is opened
    /// again.
    pub async fn listen(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let Err(error) = self.hear(&stop).await else { continue };
            tracing::warn!(%error, "announcements cannot be heard; the relay polls");
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(jittered(FAILURE_PAUSE)) => {}
            }
        }
    }

    /// Until `stop`, or the connection is lost. Errors: there is none, or it does not answer any more.
    async fn hear(&self, stop: &CancellationToken) -> Result<(), sqlx::Error> {
        let mut listener = Listener::on(&self.pool, CHANNEL).await?;
        // What was announced before, nobody here has heard.
        self.signal.wake_here();
        let own = self.process.to_string();
        loop {
            let announcement = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                announcement = listener.next() => announcement?,
            };
            match announcement {
                Some(announcement) if announcement == own => {}
                Some(_) => self.signal.wake_here(),
                None => return Ok(()),
            }
        }
    }

    /// Closes its connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
