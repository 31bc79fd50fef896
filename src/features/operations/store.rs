//! The SQL of operations.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use super::book_in_force::BookInForce;
use crate::kernel::database::Tx;
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::Problem;

/// A switch that an operator has thrown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThrownSwitch {
    /// Which one.
    pub switch: Switch,
    /// What it was set to.
    pub is_on: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// The same with who has thrown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedSwitch {
    /// The switch.
    pub thrown: ThrownSwitch,
    /// What the last who threw it was: operator or command. `None` where that was written down nowhere.
    pub actor_kind: Option<String>,
    /// Its name; `None` for commands, and for who was erased since.
    pub actor_name: Option<String>,
}

/// An event that was set aside because its fold failed too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Whose usage is not folded.
    pub user_id: Uuid,
    /// Its name; `None` where it is gone.
    pub user_name: Option<String>,
    /// The event.
    pub id: i64,
    /// What happened.
    pub topic: String,
    /// The UTC day that changed.
    pub utc_day: NaiveDate,
    /// How often it failed.
    pub attempts: i32,
    /// Since when it is set aside.
    pub parked_at: DateTime<Utc>,
    /// The last failure: never row data.
    pub last_error: Option<String>,
}

/// One round trip.
pub async fn ping(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/operations/ping.sql").fetch_one(tx).await?;
    Ok(())
}

/// The switches that were ever thrown; names that only a newer release knows are left out.
pub async fn list_switches(tx: &mut Tx) -> Result<Vec<ThrownSwitch>, Problem> {
    let rows = sqlx::query_file!("src/features/operations/list_switches.sql").fetch_all(tx).await?;
    let thrown = rows.into_iter().filter_map(|row| {
        let switch = Switch::parse(&row.name)?;
        Some(ThrownSwitch { switch, is_on: row.is_on, reason: row.reason, changed_at: row.changed_at })
    });
    Ok(thrown.collect())
}

/// Throws a switch.
pub async fn set_switch(
    tx: &mut Tx,
    switch: Switch,
    is_on: bool,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), Problem> {
    sqlx::query_file!("src/features/operations/set_switch.sql", switch.as_str(), is_on, reason, now)
        .execute(tx)
        .await?;
    Ok(())
}

/// The same where the switch still stands as it was seen: set last then, or never. False where it was set since.
pub async fn set_seen_switch(
    tx: &mut Tx,
    switch: Switch,
    (is_on, reason): (bool, &str),
    now: DateTime<Utc>,
    seen: Option<DateTime<Utc>>,
) -> Result<bool, Problem> {
    let name = switch.as_str();
    let set = sqlx::query_file!("src/features/operations/set_seen_switch.sql", name, is_on, reason, now, seen);
    Ok(set.execute(tx).await?.rows_affected() == 1)
}

/// The switches that were ever thrown, and who has.
pub async fn turned_switches(tx: &mut Tx) -> Result<Vec<TurnedSwitch>, Problem> {
    let rows = sqlx::query_file!("src/features/operations/turned_switches.sql").fetch_all(tx).await?;
    let turned = rows.into_iter().filter_map(|row| {
        let switch = Switch::parse(&row.name)?;
        let thrown = ThrownSwitch { switch, is_on: row.is_on, reason: row.reason, changed_at: row.changed_at };
        Some(TurnedSwitch { thrown, actor_kind: row.actor_kind, actor_name: row.actor_name })
    });
    Ok(turned.collect())
}

/// The first parked events.
pub async fn parked_events(tx: &mut Tx, limit: i64) -> Result<Vec<ParkedEvent>, Problem> {
    let rows = sqlx::query_file!("src/features/operations/parked_events.sql", limit).fetch_all(tx).await?;
    let parked = rows.into_iter().map(|row| ParkedEvent {
        user_id: row.user_id,
        user_name: row.user_name,
        id: row.id,
        topic: row.topic,
        utc_day: row.utc_day,
        attempts: row.attempts,
        parked_at: row.parked_at,
        last_error: row.last_error,
    });
    Ok(parked.collect())
}

/// The price book that is in force.
pub async fn book_in_force(tx: &mut Tx) -> Result<Option<BookInForce>, Problem> {
    let query = sqlx::query_file_as!(BookInForce, "src/features/operations/book_in_force.sql");
    Ok(query.fetch_optional(tx).await?)
}
