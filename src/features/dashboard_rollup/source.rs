//! Where the numbers of a read come from: the standby, where it has them, and else the primary. [Why
//! so](../../../docs/decisions/0058-reads-from-a-standby.md).
//!
//! What a reply says of itself (`as_of`, `pending`, `version`, its days and its validator) is always what the primary said
//! when the read began. The standby's snapshot opens behind that moment and has to say the same of the user, word for word.
//! So a reader cannot tell who answered.

use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::snapshot::{Answered, OpenSnapshot, UsageRequest};
use super::state::RollupState;
use crate::kernel::call::RequestContext;
use crate::kernel::database::{Access, Fallback, Mark, Standby, Tx};
use crate::kernel::problem::Problem;

/// Notes who answered, for the request's line and for the metrics.
pub(super) fn note_source(context: &RequestContext, is_of_standby: bool) {
    let source = if is_of_standby { "standby" } else { "primary" };
    context.upstream.read_from(source);
    metrics::counter!("halfhour_reads_total", "source" => source).increment(1);
}

/// Notes why the primary answers.
fn note_fallback(context: &RequestContext, why: Fallback) {
    context.upstream.fell_back(why.as_str());
    metrics::counter!("halfhour_standby_fallbacks_total", "reason" => why.as_str()).increment(1);
}

impl<R: UsageRequest> OpenSnapshot<R> {
    /// Reads with `read` where the numbers are to be had, and closes the snapshot. What fails on the standby is read once
    /// more on the primary. Errors: those of `read`; the database's.
    pub async fn answer_with<T>(
        self,
        read: impl for<'a> Fn(&'a mut Self) -> BoxFuture<'a, Result<T, Problem>>,
    ) -> Result<Answered<T>, Problem> {
        let mut snapshot = self.where_the_numbers_are().await?;
        let mut result = read(&mut snapshot).await;
        if let Some(standby) = snapshot.answers.standby.clone().filter(|_| snapshot.is_of_standby) {
            let failed = result.as_ref().err().filter(|problem| problem.code().status().is_server_error());
            match failed.map(Fallback::of) {
                Some(why) => {
                    standby.failed(why);
                    snapshot = snapshot.on_the_primary(why).await?;
                    result = read(&mut snapshot).await;
                }
                None => standby.answered(),
            }
        }
        snapshot.close(result).await
    }

    /// The same request in a snapshot of the standby, where it may be asked and says the same as the primary.
    async fn where_the_numbers_are(self) -> Result<Self, Problem> {
        let Some(standby) = self.answers.standby.clone() else { return Ok(self) };
        if let Err(why) = standby.admits() {
            note_fallback(&self.context, why);
            return Ok(self);
        }
        let Self { tx, user_id, state, days, request, rates, answers, context, .. } = self;
        let found = match Standby::mark(tx).await {
            Ok(mark) => same_snapshot(&standby, &context, user_id, (&state, request.time_zone()), &mark).await,
            Err(why) => Err(why),
        };
        match found {
            Ok(tx) => Ok(Self { tx, user_id, state, days, request, rates, answers, context, is_of_standby: true }),
            Err(why) => {
                standby.failed(why);
                note_fallback(&context, why);
                answers.open(&context, user_id, request).await
            }
        }
    }

    /// The same request in a new snapshot of the primary.
    async fn on_the_primary(self, why: Fallback) -> Result<Self, Problem> {
        let Self { tx, user_id, request, answers, context, .. } = self;
        note_fallback(&context, why);
        drop(tx);
        answers.open(&context, user_id, request).await
    }
}

/// Opens a snapshot of the standby behind a mark, which says the same of the user as the primary did. Errors: why there is
/// none.
async fn same_snapshot(
    standby: &Standby,
    context: &RequestContext,
    user_id: Uuid,
    (said, time_zone): (&RollupState, Option<&str>),
    mark: &Mark,
) -> Result<Tx, Fallback> {
    let part = Standby::part_of(context);
    let mut tx = standby.begin(&part, &Access::Users(&[user_id]), mark).await?;
    let why_not = match RollupState::read_again(&mut tx, user_id, said, time_zone).await {
        // Promoted since it opened, it may have seen what the primary never will.
        Ok(state) if !state.is_of_standby() => Fallback::Promoted,
        Ok(state) if state.says_the_same_as(said) => return Ok(tx),
        Ok(_) => Fallback::Moved,
        Err(problem) if problem.code().status().is_server_error() => Fallback::of(&problem),
        // It does not know the user or the zone, as the primary does.
        Err(_) => Fallback::Moved,
    };
    let _ = tx.rollback().await;
    Err(why_not)
}
