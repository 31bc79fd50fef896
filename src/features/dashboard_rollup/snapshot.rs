//! The door to users' usage, without HTTP: typed requests in, typed answers out, each from one snapshot.
//!
//! The way of a read: [`UsageAnswers::open`] begins a transaction, reads the state of the rollup and finds out which days
//! are meant; the `answer` that belongs to the request reads its numbers and closes the snapshot. A caller that has the
//! answer already, as the state tells, closes the snapshot instead.
//!
//! Where there is a standby, the state is the primary's all the same, and the numbers may be the standby's (`source`).

use chrono::NaiveDate;
use uuid::Uuid;

use super::checked::Checked;
use super::cost::Rates;
use super::range::DayRange;
use super::source::note_source;
use super::state::RollupState;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Access, Mode, Pool, Standby, Tx};
use crate::kernel::problem::Problem;

/// A request that can be asked in a snapshot.
pub trait UsageRequest {
    /// The zone whose days are meant, if it was named.
    fn time_zone(&self) -> Option<&str> {
        None
    }

    /// The days that are meant, now that it is known which day is today. Errors: 422 for a range that is reversed or too
    /// long, 400 for a page of another zone's days.
    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem>;
}

/// Answers requests for users' usage. Whoever shows usage is handed a clone by the composition root.
#[derive(Clone, Debug)]
pub struct UsageAnswers {
    pub(super) pool: Pool,
    pub(super) standby: Option<Standby>,
    pub(super) clock: Clock,
    rates: Rates,
}

impl UsageAnswers {
    /// Reads through `pool`, and numbers from the `standby` where it has them; `clock` says which day is today.
    pub fn new(pool: Pool, standby: Option<Standby>, clock: Clock) -> Self {
        Self { pool, standby, clock, rates: Rates::default() }
    }

    /// Opens one snapshot of a user's usage for one request. Errors: 422 for a zone that there is none, for days that are
    /// refused; 400 for a page of another zone's days; the database's.
    pub async fn open<R: UsageRequest>(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<R>,
    ) -> Result<OpenSnapshot<R>, Problem> {
        let mut tx = self.pool.begin(context, Access::Users(&[user_id]), Mode::Sums).await?;
        let state = RollupState::read(&mut tx, user_id, &self.clock, request.time_zone()).await;
        match state.and_then(|state| Ok((request.resolve(&state)?, state))) {
            Ok((days, state)) => {
                let (rates, answers, context) = (self.rates.clone(), self.clone(), context.clone());
                Ok(OpenSnapshot { tx, user_id, state, days, request, rates, answers, context, is_of_standby: false })
            }
            Err(problem) => end(tx, Err(problem)).await,
        }
    }
}

/// One snapshot of one user's usage. Its state and the days of the request are known; no usage is read yet.
#[derive(Debug)]
pub struct OpenSnapshot<R> {
    pub(super) tx: Tx,
    pub(super) user_id: Uuid,
    pub(super) state: RollupState,
    pub(super) days: DayRange,
    pub(super) request: Checked<R>,
    pub(super) rates: Rates,
    pub(super) answers: UsageAnswers,
    pub(super) context: RequestContext,
    /// Whether `tx` is on the standby.
    pub(super) is_of_standby: bool,
}

impl<R> OpenSnapshot<R> {
    /// What the rollup is in, and how fresh it is.
    pub const fn state(&self) -> &RollupState {
        &self.state
    }

    /// The days that the request is about.
    pub const fn days(&self) -> DayRange {
        self.days
    }

    /// The price book that costs are in, and of which day its prices are; `None` where there is no cost. Errors: the
    /// database's.
    pub async fn book(&mut self) -> Result<Option<(i32, NaiveDate)>, Problem> {
        let Some(book) = self.state.book() else { return Ok(None) };
        Ok(Some((book, self.rates.day_of(&mut self.tx, book).await?)))
    }

    /// Ends the snapshot with what came of it. Errors: those of `result`; the database's.
    pub async fn close<T>(self, result: Result<T, Problem>) -> Result<Answered<T>, Problem> {
        let Self { tx, state, days, is_of_standby, context, .. } = self;
        note_source(&context, is_of_standby);
        let answer = end(tx, result).await?;
        Ok(Answered { state, days, answer })
    }
}

/// An answer with the state in whose snapshot it was read: `as_of`, `pending` and `version` belong to its numbers.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// What the rollup was in, and how fresh it was.
    pub state: RollupState,
    /// The days that were meant.
    pub days: DayRange,
    /// What was asked for.
    pub answer: T,
}

/// Gives the transaction back. What it failed with counts more than that it could not be given back.
async fn end<T>(tx: Tx, result: Result<T, Problem>) -> Result<T, Problem> {
    let rolled_back = tx.rollback().await;
    let value = result?;
    rolled_back.map(|()| value)
}
