//! Tells relays that there may be new events.
//!
//! Whoever commits events wakes the relays of its own process at once, and those of other processes
//! by `NOTIFY`. Both say which parts of users the events are in, so that only relays which look
//! after one of these wake. A wake is a hint that may be lost, so every relay also looks by itself
//! each second.
//!
//! `NOTIFY` is sent after the commit, on a connection of its own, and at most ten times a second.
//! Inside the writer's transaction it would make commits wait for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::kernel::call::RequestContext;
use crate::kernel::clock::jittered;
use crate::kernel::database::{Access, Listener, Mode, Pool};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{PartSet, UserPart};

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
    /// For each relay of this process, with the parts that it looks after.
    here: Vec<(PartSet, Notify)>,
    /// For those of other processes.
    elsewhere: Notify,
    /// The parts of which those are to be told next, as bits.
    untold: AtomicU64,
}

impl Default for Signal {
    fn default() -> Self {
        Self::of(1)
    }
}

impl Signal {
    /// For so many relays in this process, which share the parts out among themselves.
    pub fn of(relays: usize) -> Self {
        let here = (0..relays).map(|number| (PartSet::share(number, relays), Notify::new())).collect();
        Self(Arc::new(Wakeful { here, elsewhere: Notify::new(), untold: AtomicU64::new(0) }))
    }

    /// There may be new events of anybody, committed by this process.
    pub fn wake(&self) {
        self.wake_both(PartSet::ALL);
    }

    /// There may be new events of these users, committed by this process.
    pub fn wake_for(&self, user_ids: impl IntoIterator<Item = Uuid>) {
        self.wake_both(user_ids.into_iter().map(UserPart::of).collect());
    }

    fn wake_both(&self, parts: PartSet) {
        self.wake_here(parts);
        self.0.untold.fetch_or(parts.bits(), Ordering::Relaxed);
        self.0.elsewhere.notify_one();
    }

    fn wake_here(&self, parts: PartSet) {
        self.0.here.iter().filter(|(share, _)| share.meets(parts)).for_each(|(_, relay)| relay.notify_one());
    }

    /// Waits for the next wake of the first relay.
    pub async fn woken(&self) {
        self.woken_at(0).await;
    }

    /// Waits for the next wake of the relay with that number, from 0 on.
    pub async fn woken_at(&self, number: usize) {
        match self.0.here.get(number) {
            Some((_, relay)) => relay.notified().await,
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
            let parts = PartSet::of_bits(self.signal.0.untold.swap(0, Ordering::Relaxed));
            let pause = match self.notify_relays(parts).await {
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

    async fn notify_relays(&self, parts: PartSet) -> Result<(), Problem> {
        let context = RequestContext::internal(LIMIT);
        let mut tx = self.pool.begin(&context, Access::NOBODY, Mode::ReadWrite).await?;
        let announcement = format!("{} {:x}", self.process, parts.bits());
        sqlx::query_file!("src/kernel/usage/notify_relays.sql", CHANNEL, announcement).execute(&mut tx).await?;
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
        self.signal.wake_here(PartSet::ALL);
        let own = self.process.to_string();
        loop {
            let announcement = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                announcement = listener.next() => announcement?,
            };
            match announcement.as_deref().map(read) {
                Some((process, _)) if process == own => {}
                Some((_, parts)) => self.signal.wake_here(parts),
                None => return Ok(()),
            }
        }
    }

    /// Closes its connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Who announced, and events of which parts: of any where nothing is said, as in a release that had none.
fn read(announcement: &str) -> (&str, PartSet) {
    let (process, bits) = announcement.split_once(' ').unwrap_or((announcement, ""));
    (process, u64::from_str_radix(bits, 16).map_or(PartSet::ALL, PartSet::of_bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_without_parts_is_about_all() {
        assert_eq!(
            read("0190 21"),
            ("0190", [0, 5].map(|part| UserPart::of(Uuid::from_u128(part))).into_iter().collect())
        );
        assert_eq!(read("0190"), ("0190", PartSet::ALL));
        assert_eq!(read("somebody else"), ("somebody", PartSet::ALL));
    }

    #[tokio::test]
    async fn a_wake_is_for_the_relays_that_look_after_the_users() {
        let signal = Signal::of(4);
        signal.wake_for([2, 6].map(Uuid::from_u128));
        let is_woken = async |number| tokio::time::timeout(Duration::ZERO, signal.woken_at(number)).await.is_ok();
        assert_eq!(
            [is_woken(0).await, is_woken(1).await, is_woken(2).await, is_woken(3).await],
            [false, false, true, false]
        );
        signal.wake();
        assert!(is_woken(0).await && is_woken(1).await && is_woken(2).await && is_woken(3).await);
    }
}
