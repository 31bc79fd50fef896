//! Where usage is read: on the standby, where it may answer, and else on the primary.

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::pool::Pool;
use super::standby::{Fallback, Standby};
use super::tx::{Access, Mode, Tx};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// Who answers in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The primary, as of the start of the transaction.
    Primary,
    /// The standby, as of this instant by the primary's clock.
    Standby(DateTime<Utc>),
}

/// Opens snapshots of one user's rows. Whatever a standby fails is read once more on the primary.
#[derive(Clone, Debug)]
pub struct UsageReads {
    primary: Pool,
    standby: Option<Standby>,
}

impl UsageReads {
    /// On the standby, if there is one, and else through the pool `primary`.
    pub const fn new(primary: Pool, standby: Option<Standby>) -> Self {
        Self { primary, standby }
    }

    /// Opens a snapshot where it is to be had. Errors: those of [`Pool::begin`] on the primary.
    pub async fn begin(&self, context: &RequestContext, user_id: Uuid, mode: Mode) -> Result<(Tx, ReadFrom), Problem> {
        if let Some(standby) = &self.standby {
            // Boxed, because its future is large, and most have no standby.
            match Box::pin(standby.begin(context, user_id, mode)).await {
                Ok((tx, as_of)) => return Ok((tx, ReadFrom::Standby(as_of))),
                Err(why) => note_fallback(context, why),
            }
        }
        self.begin_on_primary(context, user_id, mode).await
    }

    /// Opens a snapshot on the primary. Errors: those of [`Pool::begin`].
    pub async fn begin_on_primary(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        mode: Mode,
    ) -> Result<(Tx, ReadFrom), Problem> {
        Ok((self.primary.begin(context, Access::Users(&[user_id]), mode).await?, ReadFrom::Primary))
    }

    /// Whether the standby failed a read, so that the primary has to be asked.
    pub fn was_failed<T>(&self, context: &RequestContext, from: ReadFrom, result: &Result<T, Problem>) -> bool {
        let failed = result.as_ref().err().filter(|problem| problem.code().status().is_server_error());
        let (Some(standby), ReadFrom::Standby(_), Some(problem)) = (&self.standby, from, failed) else { return false };
        let why = Fallback::of(problem);
        standby.failed(why);
        note_fallback(context, why);
        true
    }

    /// Ends a snapshot with what came of it. Errors: those of `result`; the primary's.
    pub async fn close<T>(
        &self,
        context: &RequestContext,
        (tx, from): (Tx, ReadFrom),
        result: Result<T, Problem>,
    ) -> Result<T, Problem> {
        let rolled_back = tx.rollback().await;
        let source = match (from, &self.standby) {
            (ReadFrom::Standby(_), Some(standby)) => {
                standby.answered();
                "standby"
            }
            _ => "primary",
        };
        context.upstream.read_from(source);
        metrics::counter!("halfhour_reads_total", "source" => source).increment(1);
        // What the read failed with counts more than that the snapshot could not be given back. A standby that is lost only now
        // has said everything.
        let value = result?;
        if from == ReadFrom::Primary { rolled_back.map(|()| value) } else { Ok(value) }
    }

    /// Reads in one snapshot. Errors: those of `read`; the primary's.
    pub async fn read<T>(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        mode: Mode,
        read: impl for<'a> Fn(&'a mut Tx) -> BoxFuture<'a, Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let (mut tx, mut from) = self.begin(context, user_id, mode).await?;
        let mut result = read(&mut tx).await;
        if self.was_failed(context, from, &result) {
            (tx, from) = self.begin_on_primary(context, user_id, mode).await?;
            result = read(&mut tx).await;
        }
        self.close(context, (tx, from), result).await
    }
}

/// Notes why the primary answers.
fn note_fallback(context: &RequestContext, why: Fallback) {
    context.upstream.fell_back(why.as_str());
    metrics::counter!("halfhour_standby_fallbacks_total", "reason" => why.as_str()).increment(1);
}
