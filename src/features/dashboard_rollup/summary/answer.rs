//! The answer to a request for a summary: a range beside the equally long one before it, and how regularly the user works.

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::request::SummaryRequest;
use super::store::{self, RangeKey, Streaks};
use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::cost::PricedSums;
use crate::features::dashboard_rollup::range::{DayRange, Scope};
use crate::features::dashboard_rollup::receipt::{Unpriced, unpriced};
use crate::features::dashboard_rollup::snapshot::{Answered, OpenSnapshot, UsageAnswers};
use crate::kernel::call::RequestContext;
use crate::kernel::problem::{Problem, Violation};

/// A summary lists at most this many models.
const MAX_MODELS: usize = 1000;
/// And at most this many tools. There may be more in the buckets than are known today.
const MAX_SOURCES: usize = 1000;
/// Of either range: the whole, and of sources and models one more each, which tells that there are too many. Sources come
/// first, so that models are cut off only where there are too many of them, or of sources.
const MAX_ROWS: usize = 2 * (1 + (MAX_SOURCES + 1) + (MAX_MODELS + 1));

/// A range beside the one before it.
#[derive(Clone, Debug)]
pub struct SummaryAnswer {
    /// The range before: as long, and it ends where the range begins.
    pub before: DayRange,
    /// The sums of all usage.
    pub totals: BothSums,
    /// Every source of either range, in byte order.
    pub by_source: Vec<(String, BothSums)>,
    /// Every model of either range, in byte order.
    pub by_model: Vec<(String, BothSums)>,
    /// What has no price in the range.
    pub unpriced: Vec<Unpriced>,
    /// Active days, and runs of them.
    pub streaks: Streaks,
}

/// Sums of a range and of the one before it; zero where there is no usage.
#[derive(Clone, Copy, Debug)]
pub struct BothSums {
    /// Of the range.
    pub current: PricedSums,
    /// Of the range before.
    pub previous: PricedSums,
}

impl UsageAnswers {
    /// A summary of a user's usage. Errors: those of [`UsageAnswers::open`]; 422 for more tools or models than a summary lists.
    pub async fn summary(
        &self,
        context: &RequestContext,
        user_id: Uuid,
        request: Checked<SummaryRequest>,
    ) -> Result<Answered<SummaryAnswer>, Problem> {
        self.open(context, user_id, request).await?.answer().await
    }
}

impl OpenSnapshot<SummaryRequest> {
    /// Reads the sums and closes the snapshot. Errors: 422 for more tools or models than a summary lists; the database's.
    pub async fn answer(self) -> Result<Answered<SummaryAnswer>, Problem> {
        self.answer_with(|snapshot| snapshot.read().boxed()).await
    }

    async fn read(&mut self) -> Result<SummaryAnswer, Problem> {
        let Self { tx, user_id, state, days, request, rates, .. } = self;
        let before = days.before().ok_or_else(|| Problem::internal("no range is before the first day of all"))?;
        let scope = Scope { user_id: *user_id, days: *days, filters: &request.filters, time_zone: state.time_zone() };
        let limit = i64::try_from(MAX_ROWS).map_err(Problem::internal)?;
        let parts = store::range_sums(tx, &scope, before, limit).await?;
        let rows = rates.price(tx, parts).await?;
        let streaks = store::streaks(tx, &scope, before, state.today()).await?;
        let mut summary = summary(before, rows, streaks)?;
        if state.book().is_some() && summary.totals.current.cost.unpriced_tokens > 0 {
            summary.unpriced = unpriced(tx, &scope, rates, state.book()).await?;
        }
        Ok(summary)
    }
}

/// One sum of one of the two ranges.
type RangeSums = (RangeKey, PricedSums);

/// Puts a summary together. Errors: 422 where there are more tools or models than it may list.
fn summary(before: DayRange, rows: Vec<RangeSums>, streaks: Streaks) -> Result<SummaryAnswer, Problem> {
    let (whole, parts): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|(key, _)| key.source.is_none() && key.model.is_none());
    let (by_source, by_model): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(key, _)| key.source.is_some());
    let by_source = by_name(&by_source, |key| key.source.as_ref());
    let by_model = by_name(&by_model, |key| key.model.as_ref());
    for (name, count, most) in [("source", by_source.len(), MAX_SOURCES), ("model", by_model.len(), MAX_MODELS)] {
        if count > most {
            let detail = format!(
                "More than {most} {name}s, which is as many as a summary lists. Ask for fewer days, or for \
                 GET /v1/rollups?group_by={name}, which has pages."
            );
            return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
        }
    }
    let totals = both(&whole);
    for parts in [&by_source, &by_model] {
        parts.iter().map(|(_, sums)| sums.current).sum::<PricedSums>().within(&totals.current)?;
        parts.iter().map(|(_, sums)| sums.previous).sum::<PricedSums>().within(&totals.previous)?;
    }
    Ok(SummaryAnswer { before, totals, by_source, by_model, unpriced: Vec::new(), streaks })
}

/// The sums of each name; the rows of one name come together.
fn by_name(rows: &[RangeSums], name: impl Fn(&RangeKey) -> Option<&String>) -> Vec<(String, BothSums)> {
    let named = rows.chunk_by(|(key, _), (next, _)| name(key) == name(next));
    named.map(|rows| (rows.first().and_then(|(key, _)| name(key)).cloned().unwrap_or_default(), both(rows))).collect()
}

fn both(rows: &[RangeSums]) -> BothSums {
    let of = |is_current| {
        let row = rows.iter().find(|(key, _)| key.is_current == is_current);
        row.map(|(_, priced)| *priced).unwrap_or_default()
    };
    BothSums { current: of(true), previous: of(false) }
}
