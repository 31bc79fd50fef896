//! The fold of a batch: all events at once where their data allows it, else by halves until each culprit stands alone.

use super::store;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;
use crate::kernel::usage::outbox::Event;

/// What a round folded.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) events: Vec<Event>,
    pub(super) user_days: u64,
}

/// An event that fails through its own data.
#[derive(Debug)]
pub(super) struct Poison {
    pub(super) event: Event,
    pub(super) fault: DataFault,
}

/// What is wrong with the data of events.
#[derive(Debug)]
pub(super) struct DataFault {
    /// SQLSTATE and constraint, never row data.
    pub(super) code: String,
    pub(super) problem: Problem,
}

/// Folds the events, all at once where their data allows it, else by halves until each culprit stands alone. Errors:
/// whatever is no event's fault.
pub(super) async fn fold_apart(tx: &mut Tx, events: &[Event], folded: &mut Folded) -> Result<Vec<Poison>, Problem> {
    let mut poisons = Vec::new();
    let mut waiting = vec![events];
    while let Some(batch) = waiting.pop() {
        let Some(fault) = fold_together(tx, batch, folded).await? else { continue };
        if let [event] = batch {
            poisons.push(Poison { event: event.clone(), fault });
        } else {
            let (first, second) = batch.split_at(batch.len() / 2);
            waiting.extend([second, first]);
        }
    }
    Ok(poisons)
}

/// Folds parked events, ordered by user. Each user's in one attempt: what still fails stays parked, however much it is, and
/// holds up nobody. Errors: whatever is no event's fault.
pub(super) async fn heal(tx: &mut Tx, parked: &[Event], folded: &mut Folded) -> Result<(), Problem> {
    for of_user in parked.chunk_by(|one, next| one.user_id == next.user_id) {
        // Its fault is known since it was parked.
        let _ = fold_together(tx, of_user, folded).await?;
    }
    Ok(())
}

/// Folds the events in one statement, or changes nothing and says what is wrong with their data. Errors: whatever is no
/// event's fault.
async fn fold_together(tx: &mut Tx, events: &[Event], folded: &mut Folded) -> Result<Option<DataFault>, Problem> {
    tx.savepoint().await?;
    let error = match store::fold_events(tx, events).await {
        Ok(user_days) => {
            tx.release_savepoint().await?;
            folded.events.extend_from_slice(events);
            folded.user_days += user_days;
            return Ok(None);
        }
        Err(error) => error,
    };
    let Some(code) = store::event_fault(&error) else {
        return Err(error.into());
    };
    tx.rollback_to_savepoint().await?;
    Ok(Some(DataFault { code, problem: error.into() }))
}
