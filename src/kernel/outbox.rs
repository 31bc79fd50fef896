//! Events: written with the facts they announce (by the writer's statement), consumed in the transaction that takes
//! their effect. A consumer names the ids it took and deletes exactly those: reading by "id greater than the last seen"
//! would lose events that commit late.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use uuid::Uuid;

use super::db::Tx;
use super::problem::Problem;

/// After this many failures through its own data an event is parked.
pub const MAX_ATTEMPTS: i32 = 10;

/// Which queue an event stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Trackers' posts.
    Live,
    /// Backfills.
    Bulk,
}

impl Lane {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Bulk => "bulk",
        }
    }
}

/// Wakes the consumer in this process. A wake that comes while it works is kept.
#[derive(Clone, Debug, Default)]
pub struct Signal(Arc<Notify>);

impl Signal {
    /// There may be new events.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for the next wake.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// A claimed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose buckets changed.
    pub user_id: Uuid,
    /// The event.
    pub id: i64,
    /// When the change began.
    pub created_at: DateTime<Utc>,
    /// How many folds failed through its own data.
    pub attempts: i32,
    /// The queue it stands in.
    pub lane: Lane,
    /// Set aside after too many failures.
    pub parked: bool,
}

/// The oldest events that are due: up to `live` and `bulk` of the two lanes. The caller holds the lock that makes it
/// the only consumer.
pub async fn claim_events(tx: &mut Tx, now: DateTime<Utc>, live: i64, bulk: i64) -> Result<Vec<Event>, Problem> {
    let rows = sqlx::query_file!("src/kernel/claim_events.sql", now, live, bulk).fetch_all(tx).await?;
    Ok(rows
        .into_iter()
        .map(|row| Event {
            user_id: row.user_id,
            id: row.id,
            created_at: row.created_at,
            attempts: row.attempts,
            lane: if row.bulk { Lane::Bulk } else { Lane::Live },
            parked: false,
        })
        .collect())
}

/// The parked events of the users and UTC days of `events`: what takes effect there now may heal them too.
pub async fn claim_parked_events(tx: &mut Tx, events: &[Event]) -> Result<Vec<Event>, Problem> {
    let (user_ids, ids) = keys(events);
    let rows = sqlx::query_file!("src/kernel/claim_parked_events.sql", &user_ids, &ids).fetch_all(tx).await?;
    Ok(rows
        .into_iter()
        .map(|row| Event {
            user_id: row.user_id,
            id: row.id,
            created_at: row.created_at,
            attempts: row.attempts,
            lane: if row.bulk { Lane::Bulk } else { Lane::Live },
            parked: true,
        })
        .collect())
}

/// Removes events whose effect this transaction has taken.
pub async fn consume_events(tx: &mut Tx, events: &[Event]) -> Result<(), Problem> {
    let (user_ids, ids) = keys(events);
    sqlx::query_file!("src/kernel/consume_events.sql", &user_ids, &ids).execute(tx).await?;
    Ok(())
}

/// Notes that an event failed through its own data: it waits until `retry_at`, and is parked after [`MAX_ATTEMPTS`].
/// `error` is the SQLSTATE and constraint, never row data.
pub async fn fail_event(
    tx: &mut Tx,
    event: &Event,
    error: &str,
    now: DateTime<Utc>,
    retry_at: DateTime<Utc>,
) -> Result<(), Problem> {
    sqlx::query_file!("src/kernel/fail_event.sql", event.user_id, event.id, error, now, retry_at, MAX_ATTEMPTS)
        .execute(tx)
        .await?;
    Ok(())
}

fn keys(events: &[Event]) -> (Vec<Uuid>, Vec<i64>) {
    events.iter().map(|event| (event.user_id, event.id)).unzip()
}
