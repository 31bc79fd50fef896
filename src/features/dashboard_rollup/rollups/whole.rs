//! Sums of several ranges in one snapshot, each of them whole: for who shows usage in another protocol.
//!
//! Such protocols have no pages, and name the reader's zone whatever the rollup's is. So another zone is served for as many
//! days as the width allows, and an answer has more results than a page.

use super::answer::{IntervalSums, MAX_INTERVALS, by_interval, filled};
use super::request::GroupBy;
use super::store::{self, GroupSums, RankBy, RankedAnswer, ResultsPage, Span, ranked_bucket_groups, ranked_groups};
use super::width::Width;
use crate::features::dashboard_rollup::checked::{Checked, hold, no_fields};
use crate::features::dashboard_rollup::cost::PricedSums;
use crate::features::dashboard_rollup::range::{DayRange, Filters, Scope};
use crate::features::dashboard_rollup::snapshot::{OpenSnapshot, UsageRequest};
use crate::features::dashboard_rollup::state::RollupState;
use crate::kernel::database::Tx;
use crate::kernel::http::values::time_zone;
use crate::kernel::problem::{Problem, Violation};

/// No range has more results than this.
const MAX_RESULTS: i64 = 20_000;

/// Whose days, and which buckets count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WholeRequest {
    /// The zone whose days are meant, if it was named.
    pub time_zone: Option<String>,
    /// The buckets that count.
    pub filters: Filters,
}

/// The sums of one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeSums {
    /// The range: at most as long as a query with its width may be.
    pub days: DayRange,
    /// How long an interval is.
    pub width: Width,
    /// The groups within an interval.
    pub group_by: GroupBy,
    /// Whether intervals without usage are wanted too; only without groups.
    pub fills: bool,
}

impl WholeRequest {
    /// The request, where its zone may be one and its filters keep the rules. Errors: 422 with every violation.
    pub fn checked(self) -> Result<Checked<Self>, Problem> {
        let mut fields = no_fields();
        if let Some(name) = &self.time_zone {
            hold(&mut fields, "time_zone", time_zone(name));
        }
        self.filters.check(&mut fields);
        Checked::new(fields, self)
    }
}

impl UsageRequest for WholeRequest {
    fn time_zone(&self) -> Option<&str> {
        self.time_zone.as_deref()
    }

    /// Today: the days of each range are named when it is asked for.
    fn resolve(&self, state: &RollupState) -> Result<DayRange, Problem> {
        Ok(DayRange { from: state.today(), to: state.today() })
    }
}

/// The intervals that were looked up for sums already, so that several sums of one range look them up once.
#[derive(Clone, Debug, Default)]
pub struct KnownSpans(Vec<(DayRange, Width, String, Vec<Span>)>);

impl KnownSpans {
    async fn find(&mut self, tx: &mut Tx, scope: &Scope<'_>, width: Width) -> Result<Vec<Span>, Problem> {
        let mut known = self.0.iter();
        let is_asked = |known: &&(DayRange, Width, String, _)| {
            (known.0, known.1, &*known.2) == (scope.days, width, scope.time_zone)
        };
        if let Some((.., spans)) = known.find(is_asked) {
            return Ok(spans.clone());
        }
        let spans = if width.is_of_clock() {
            store::clock_intervals(tx, scope, width).await?
        } else {
            store::calendar_intervals(tx, scope, width).await?
        };
        self.0.push((scope.days, width, scope.time_zone.to_owned(), spans.clone()));
        Ok(spans)
    }
}

impl OpenSnapshot<WholeRequest> {
    /// The sums of a range, interval by interval, of the buckets that these filters let through. Errors: 422 for a range that
    /// is reversed or too long, for more results than an answer has, and where only buckets can answer and retention has
    /// removed some; the database's.
    pub async fn sums_among(
        &mut self,
        asked: &WholeSums,
        filters: &Filters,
        known: &mut KnownSpans,
    ) -> Result<Vec<IntervalSums>, Problem> {
        let WholeSums { days, width, group_by, fills } = *asked;
        if let Some(violation) = days.violation(&width.cap()) {
            return Err(Problem::invalid(vec![violation]));
        }
        let Self { tx, user_id, state, rates, .. } = self;
        let scope = Scope { user_id: *user_id, days, filters, time_zone: state.time_zone() };
        let spans = known.find(tx, &scope, width).await?;
        let from_buckets = width.is_of_clock() || state.is_other_zone();
        if let Some(first) = spans.first().filter(|_| from_buckets) {
            let instead = "Ask for later days, or for whole days in the zone of `GET /v1/me`.";
            state.refuse_removed(tx, *user_id, first.starts_at, instead).await?;
        }
        // Intervals to fill are few. Of groups, one more than fits tells that there are too many.
        let limit = if fills { MAX_INTERVALS } else { MAX_RESULTS + 1 };
        let page = ResultsPage { width, group_by, after: None, limit };
        let parts = if from_buckets {
            store::bucket_results(tx, &scope, &page, state.book()).await?
        } else {
            store::daily_results(tx, &scope, &page).await?
        };
        let priced = rates.price(tx, parts).await?;
        let rows: Vec<_> = priced.into_iter().map(|(key, priced)| GroupSums { key, priced }).collect();
        if i64::try_from(rows.len()).map_or(true, |count| count > MAX_RESULTS) {
            let detail = format!("There are more than {MAX_RESULTS} sums in these days. Ask for fewer.");
            return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
        }
        let totals: PricedSums = rows.iter().map(|row| row.priced).sum();
        totals.within(&totals)?;
        by_interval(if fills { filled(rows, &spans) } else { rows }, &spans)
    }

    /// What has most tokens in a range, beside the equally long one before it, and how much there is of all. Errors: as of
    /// sums by day.
    pub async fn ranked(&mut self, days: DayRange, by: RankBy, most: u16) -> Result<RankedAnswer, Problem> {
        if let Some(violation) = days.violation(&Width::Day.cap()) {
            return Err(Problem::invalid(vec![violation]));
        }
        let before = days.before().ok_or_else(|| Problem::internal("no range is before the first day of all"))?;
        let Self { tx, user_id, state, request, .. } = self;
        let filters = &request.filters;
        let scope = Scope { user_id: *user_id, days, filters, time_zone: state.time_zone() };
        if !state.is_other_zone() {
            return ranked_groups(tx, &scope, before.from, by, most).await;
        }
        let both = Scope { days: DayRange { from: before.from, to: days.to }, ..scope };
        if let Some(first) = store::calendar_intervals(tx, &both, Width::Month).await?.first() {
            let instead = "Ask for later days, or for whole days in the zone of `GET /v1/me`.";
            state.refuse_removed(tx, *user_id, first.starts_at, instead).await?;
        }
        ranked_bucket_groups(tx, &scope, before.from, by, most).await
    }
}
