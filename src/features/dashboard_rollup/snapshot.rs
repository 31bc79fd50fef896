//! The door to users' usage, without HTTP: typed requests in, typed answers out, each from one snapshot.
//!
//! The way of a read: [`UsageAnswers::open`] begins a transaction, reads the state of the rollup and finds out which days
//! are meant; the `answer` that belongs to the request reads its numbers and closes the snapshot. A caller that has the
//! answer already, as the state tells, closes the snapshot instead.
//!
//! The snapshot may be a standby's. What fails there is read once more, from the state on, on the primary.

use chrono::NaiveDate;
use futures_util::future::BoxFuture;
use uuid::Uuid;

use super::checked::Checked;
use super::cost::Rates;
use super::range::DayRange;
use super::state::RollupState;
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::{Mode, ReadFrom, Tx, UsageReads};
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
    reads: UsageReads,
    clock: Clock,
    rates: Rates,
}

impl UsageAnswers {
    /// Reads through `reads`; `clock` says which day is today.
    pub fn new(reads: UsageReads, clock: Clock) -> Self {
        Self { reads, clock, rates: Rates::default() }
    }

    /// Opens one snapshot of a user's usage for one request. Errors: 422 for a zone that there is none, for days that are
    /// refused; 400 for a page of another zone's days; the database's.
    pub async fn open<R: UsageRequest>(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<R>,
    ) -> Result<OpenSnapshot<R>, Problem> {
        let begun = self.reads.begin(context, user_id, Mode::Sums).await?;
        self.open_in(begun, context, user_id, request).await
    }

    /// The same in a snapshot that is begun.
    async fn open_in<R: UsageRequest>(
        &self,
        (mut tx, mut from): (Tx, ReadFrom),
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<R>,
    ) -> Result<OpenSnapshot<R>, Problem> {
        let mut state = RollupState::read((&mut tx, from), user_id, &self.clock, request.time_zone()).await;
        if self.reads.was_failed(context, from, &state) {
            (tx, from) = self.reads.begin_on_primary(context, user_id, Mode::Sums).await?;
            state = RollupState::read((&mut tx, from), user_id, &self.clock, request.time_zone()).await;
        }
        match state.and_then(|state| Ok((request.resolve(&state)?, state))) {
            Ok((days, state)) => {
                let (rates, answers, context) = (self.rates.clone(), self.clone(), context.clone());
                Ok(OpenSnapshot { tx, from, user_id, state, days, request, rates, answers, context })
            }
            Err(problem) => self.reads.close(context, (tx, from), Err(problem)).await,
        }
    }
}

/// One snapshot of one user's usage. Its state and the days of the request are known; no usage is read yet.
#[derive(Debug)]
pub struct OpenSnapshot<R> {
    pub(super) tx: Tx,
    from: ReadFrom,
    pub(super) user_id: Uuid,
    pub(super) state: RollupState,
    pub(super) days: DayRange,
    pub(super) request: Checked<R>,
    pub(super) rates: Rates,
    answers: UsageAnswers,
    context: RequestContext,
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
        let Self { tx, from, state, days, answers, context, .. } = self;
        let answer = answers.reads.close(&context, (tx, from), result).await?;
        Ok(Answered { state, days, answer })
    }
}

impl<R: UsageRequest> OpenSnapshot<R> {
    /// Reads with `read` and closes the snapshot. Where the standby fails that, all of it is read once more on the primary,
    /// whose state may be a later one. Errors: those of `read`; the database's.
    pub async fn answer_with<T>(
        mut self,
        read: impl for<'a> Fn(&'a mut Self) -> BoxFuture<'a, Result<T, Problem>>,
    ) -> Result<Answered<T>, Problem> {
        let mut result = read(&mut self).await;
        if self.answers.reads.was_failed(&self.context, self.from, &result) {
            let Self { user_id, request, answers, context, .. } = self;
            let begun = answers.reads.begin_on_primary(&context, user_id, Mode::Sums).await?;
            // Boxed, because that is rare and its future is large.
            self = Box::pin(answers.open_in(begun, &context, user_id, request)).await?;
            result = read(&mut self).await;
        }
        self.close(result).await
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
