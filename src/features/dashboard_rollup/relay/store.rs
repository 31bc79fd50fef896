//! The SQL of the relay: the locks, and the fold.

use chrono::{DateTime, Utc};

use super::parts::Offer;
use crate::kernel::database::{Tx, is_data_fault};
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::{Event, PerLane, Topic, UserPart, keys};

/// Takes the locks of parts in which events are due, until the transaction ends: as many as fill a round. Returns the parts in
/// which some are due, in the order of their turns, each with whether it was taken.
pub async fn take_parts(
    tx: &mut Tx,
    fold_lock: i64,
    offers: &[Offer],
    now: DateTime<Utc>,
    at_most: PerLane,
) -> Result<Vec<(UserPart, bool)>, Problem> {
    let places = || offers.iter().flat_map(|offer| offer.places().map(move |place| (offer, place)));
    let parts: Vec<_> = places().map(|(_, place)| place.part.number()).collect();
    let lanes: Vec<_> = places().map(|(_, place)| place.lane.as_str()).collect();
    let (is_home, is_alone): (Vec<_>, Vec<_>) = places().map(|(offer, _)| (offer.is_home, offer.is_alone)).unzip();
    let (scan_from, at_most_there): (Vec<_>, Vec<_>) =
        places().map(|(_, place)| (place.scan_from, place.at_most)).unzip();
    let query = sqlx::query_file!(
        "src/features/dashboard_rollup/relay/take_parts.sql",
        fold_lock,
        &parts,
        &lanes as &[&str],
        &is_home,
        &is_alone,
        &scan_from,
        &at_most_there,
        now,
        at_most.live,
        at_most.bulk,
        at_most.whole
    );
    let rows = query.fetch_all(tx).await?;
    let part_of = |number| offers.iter().map(|offer| offer.part).find(|part| part.number() == number);
    Ok(rows.iter().filter_map(|row| Some((part_of(row.part)?, row.is_taken))).collect())
}

/// Waits for the lock of a part and holds it until the transaction ends. Errors: 55P03 where it is not to be had in time.
pub async fn take_fold_lock(tx: &mut Tx, fold_lock: i64, part: UserPart) -> Result<(), Problem> {
    let part_lock = fold_lock + 1 + i64::from(part.number());
    sqlx::query_file!("src/features/dashboard_rollup/relay/take_fold_lock.sql", fold_lock, part_lock)
        .execute(tx)
        .await?;
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
