//! The SQL of the fold.

use crate::kernel::db::Tx;
use crate::kernel::outbox::Event;
use crate::kernel::problem::Problem;

/// Takes the fold lock until the transaction ends; false when another relay holds it.
pub async fn try_fold_lock(tx: &mut Tx, fold_lock: i64) -> Result<bool, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/try_fold_lock.sql", fold_lock);
    Ok(query.fetch_one(tx).await?)
}

/// Folds the local days that the events touch. The error is kept whole, for [`event_fault`].
pub async fn fold_user_days(tx: &mut Tx, events: &[Event]) -> Result<(), sqlx::Error> {
    let (user_ids, ids): (Vec<_>, Vec<_>) = events.iter().map(|event| (event.user_id, event.id)).unzip();
    sqlx::query_file!("src/features/dashboard_rollup/fold_user_days.sql", &user_ids, &ids).execute(tx).await?;
    Ok(())
}

/// Whether a fold failed through the data of its events, and if so how: SQLSTATE and constraint, never row data.
/// Anything else (a lost connection, a timeout, a missing table) is nobody's fault among them.
pub fn event_fault(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    let code = error.code()?;
    let at_fault = code.starts_with("22") || code.starts_with("23") || code == "P0001";
    at_fault.then(|| match error.constraint() {
        Some(constraint) => format!("{code} {constraint}"),
        None => code.into_owned(),
    })
}
