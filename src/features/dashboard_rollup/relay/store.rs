//! The SQL of the relay: the lock, and the fold.

use crate::kernel::database::{Tx, is_data_fault};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{Event, Topic, keys};

/// Takes the fold lock until the transaction ends; false when another holds it.
pub async fn try_fold_lock(tx: &mut Tx, fold_lock: i64) -> Result<bool, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/relay/try_fold_lock.sql", fold_lock);
    Ok(query.fetch_one(tx).await?)
}

/// Waits for the fold lock and holds it until the transaction ends. Errors: 55P03 where it is not to be had in time.
pub async fn take_fold_lock(tx: &mut Tx, fold_lock: i64) -> Result<(), Problem> {
    sqlx::query_file!("src/features/dashboard_rollup/relay/take_fold_lock.sql", fold_lock).execute(tx).await?;
    Ok(())
}

/// Takes the effect of the events; returns how many days of users were folded. The error is kept whole, for
/// [`event_fault`].
pub async fn fold_events(tx: &mut Tx, events: &[Event]) -> Result<u64, sqlx::Error> {
    let any = |topic| events.iter().any(|event| event.topic == topic);
    let (erased, moved) = (any(Topic::Erased), any(Topic::Rebuild));
    // Whether the owner erased days of the old zone or of the new one, nobody knows: what either covers whole goes.
    if erased && moved {
        erase_frozen_days(tx, events).await?;
    }
    if moved {
        record_wishes(tx, events).await?;
    }
    if erased {
        erase_frozen_days(tx, events).await?;
    }
    fold_user_days(tx, events).await
}

/// Moves the rollups of users with a rebuild among the events into the zone that they want and
/// the book that is in force.
async fn record_wishes(tx: &mut Tx, events: &[Event]) -> Result<(), sqlx::Error> {
    let (user_ids, ids) = keys(events);
    sqlx::query_file!("src/features/dashboard_rollup/relay/record_wishes.sql", &user_ids, &ids).execute(tx).await?;
    Ok(())
}

/// Removes the frozen days that an erasure among the events covers.
async fn erase_frozen_days(tx: &mut Tx, events: &[Event]) -> Result<(), sqlx::Error> {
    let (user_ids, ids) = keys(events);
    sqlx::query_file!("src/features/dashboard_rollup/relay/erase_frozen_days.sql", &user_ids, &ids).execute(tx).await?;
    Ok(())
}

/// Folds the local days that the events touch, and counts them.
async fn fold_user_days(tx: &mut Tx, events: &[Event]) -> Result<u64, sqlx::Error> {
    let (user_ids, ids) = keys(events);
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/relay/fold_user_days.sql", &user_ids, &ids);
    Ok(query.fetch_one(tx).await?.unsigned_abs())
}

/// Whether a fold failed through the data of its events, and if so how: SQLSTATE and constraint, never row data.
/// Anything else (a lost connection, a timeout, a full disk) is nobody's fault among them.
pub fn event_fault(error: &sqlx::Error) -> Option<String> {
    let is_fault = is_data_fault(error);
    let error = error.as_database_error().filter(|_| is_fault)?;
    let code = error.code()?;
    Some(match error.constraint() {
        Some(constraint) => format!("{code} {constraint}"),
        None => code.into_owned(),
    })
}
