//! The answer to a request for rollups: one page of sums by interval and group, and the totals of the whole range.

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::request::{ResultKey, RollupsRequest};
use super::store::{self, GroupSums, ResultsPage, Span};
use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::cost::PricedSums;
use crate::features::dashboard_rollup::range::{PagePosition, Scope};
use crate::features::dashboard_rollup::snapshot::{Answered, OpenSnapshot, UsageAnswers};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::Problem;

/// No range has more intervals than this: 31 days have fewer half hours.
pub(super) const MAX_INTERVALS: i64 = 2000;

/// A page of usage by interval.
#[derive(Clone, Debug)]
pub struct RollupsAnswer {
    /// The sums of the whole range and all filters, whatever the page.
    pub totals: PricedSums,
    /// The intervals of this page, ascending.
    pub intervals: Vec<IntervalSums>,
    /// Where this page ended; `None` when there is no other.
    pub next: Option<PagePosition<ResultKey>>,
}

/// One interval.
#[derive(Clone, Debug)]
pub struct IntervalSums {
    /// When it is.
    pub span: Span,
    /// The sums of each group that has usage; without groups exactly one.
    pub groups: Vec<GroupSums>,
}

impl UsageAnswers {
    /// Sums of a user's usage, interval by interval. Errors: those of [`UsageAnswers::open`]; 422 where only buckets
    /// can answer and retention has removed some.
    pub async fn rollups(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<RollupsRequest>,
    ) -> Result<Answered<RollupsAnswer>, Problem> {
        self.open(context, user_id, request).await?.answer().await
    }
}

impl OpenSnapshot<RollupsRequest> {
    /// Whether only the buckets can answer. Else the answer changes with the rollup's version only.
    pub fn is_from_buckets(&self) -> bool {
        self.request.is_from_buckets(&self.state)
    }

    /// Reads the sums and closes the snapshot. Errors: 422 where retention has removed buckets; the database's.
    pub async fn answer(self) -> Result<Answered<RollupsAnswer>, Problem> {
        self.answer_with(|snapshot| snapshot.read().boxed()).await
    }

    async fn read(&mut self) -> Result<RollupsAnswer, Problem> {
        let from_buckets = self.is_from_buckets();
        let Self { tx, user_id, state, days, request, rates, .. } = self;
        let scope = Scope { user_id: *user_id, days: *days, filters: &request.filters, time_zone: state.time_zone() };
        let spans = if request.width.is_of_clock() {
            store::clock_intervals(tx, &scope, request.width).await?
        } else {
            store::calendar_intervals(tx, &scope, request.width).await?
        };
        if let Some(first) = spans.first().filter(|_| from_buckets) {
            let instead = "Ask for later days, or for width=day in the rollup's own time zone.";
            state.refuse_removed(tx, *user_id, first.starts_at, instead).await?;
        }
        let (after, limit) = (request.after.as_ref().map(|position| &position.after), request.page_size());
        let (width, group_by) = (request.width, request.group_by);
        // One more than fits tells whether there is more. Intervals to fill are few enough to take them all.
        let page = if request.fills {
            ResultsPage { width, group_by, after: None, limit: MAX_INTERVALS }
        } else {
            ResultsPage { width, group_by, after, limit: i64::try_from(limit).map_err(Problem::internal)? + 1 }
        };
        let book = state.book();
        let parts = if from_buckets {
            store::bucket_results(tx, &scope, &page, book).await?
        } else {
            store::daily_results(tx, &scope, &page).await?
        };
        let priced = rates.price(tx, parts).await?;
        let mut rows: Vec<_> = priced.into_iter().map(|(key, priced)| GroupSums { key, priced }).collect();
        // Where the rows are all there is, they add up to the totals. Else the totals are asked for.
        let is_all = after.is_none() && rows.len() <= limit || request.fills;
        let totals = if is_all {
            rows.iter().map(|row| row.priced).sum()
        } else {
            let parts = if from_buckets {
                store::bucket_totals(tx, &scope, book).await?
            } else {
                store::daily_totals(tx, &scope).await?
            };
            rates.price(tx, parts).await?.into_iter().map(|((), priced)| priced).sum()
        };
        if request.fills {
            rows = filled(rows, &spans);
            rows.retain(|row| after.is_none_or(|after| row.key > *after));
        }
        let goes_on = rows.len() > limit;
        rows.truncate(limit);
        rows.iter().map(|row| row.priced).sum::<PricedSums>().within(&totals)?;
        let last = rows.last().filter(|_| goes_on);
        let next = last.map(|last| PagePosition::new(*days, state.time_zone(), last.key.clone()));
        Ok(RollupsAnswer { totals, intervals: by_interval(rows, &spans)?, next })
    }
}

/// One row an interval, zero where there is none.
pub(super) fn filled(rows: Vec<GroupSums>, spans: &[Span]) -> Vec<GroupSums> {
    let mut rows = rows.into_iter().peekable();
    let zero = |at| GroupSums {
        key: ResultKey { at, source: String::new(), model: String::new(), device: Uuid::nil() },
        priced: PricedSums::default(),
    };
    spans.iter().map(|span| rows.next_if(|row| row.key.at == span.at).unwrap_or_else(|| zero(span.at))).collect()
}

/// Gathers the rows of each interval; both come in one order. Errors: 500 for a row outside of every interval.
pub(super) fn by_interval(rows: Vec<GroupSums>, spans: &[Span]) -> Result<Vec<IntervalSums>, Problem> {
    let mut intervals = Vec::<IntervalSums>::new();
    let mut spans = spans.iter().peekable();
    for row in rows {
        while spans.next_if(|span| span.at < row.key.at).is_some() {}
        let span = spans.peek().filter(|span| span.at == row.key.at);
        let span =
            span.ok_or_else(|| Problem::internal(format!("no interval of the range begins at {}", row.key.at)))?;
        match intervals.last_mut() {
            Some(last) if last.span.starts_at == span.starts_at => last.groups.push(row),
            _ => intervals.push(IntervalSums { span: **span, groups: vec![row] }),
        }
    }
    Ok(intervals)
}
