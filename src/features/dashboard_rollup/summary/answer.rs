//! The answer to a request for a summary: a range beside the equally long one before it, and how regularly the user works.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;
use uuid::Uuid;

use super::request::SummaryRequest;
use super::store::{self, RangeKey, RangePart, Streaks};
use crate::features::dashboard_rollup::checked::Checked;
use crate::features::dashboard_rollup::cost::{KnownRates, PricedSums};
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
/// So many parts of both ranges are added up here, and looked at for tokens without a price. Where there are more, the
/// database adds up.
const MAX_PARTS: usize = 10_000;

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
#[derive(Clone, Copy, Debug, Default)]
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
        let book = state.book();
        let limit = |most: usize| i64::try_from(most).map_err(Problem::internal);
        let parts = store::range_parts(tx, &scope, before, book, limit(MAX_PARTS + 1)?).await?;
        let known = rates.among(tx, parts.iter().map(|part| part.rated.rate_id)).await?;
        let sums = if parts.len() > MAX_PARTS {
            let rows = store::range_sums(tx, &scope, before, limit(MAX_ROWS)?).await?;
            RangeSums::of_rows(rates.price(tx, rows).await?)
        } else {
            RangeSums::of_parts(&parts, &known)
        };
        let streaks = store::streaks(tx, &scope, before, state.today()).await?;
        let mut summary = summary(before, sums, streaks)?;
        if book.is_some() && summary.totals.current.cost.unpriced_tokens > 0 {
            let current = parts.iter().take(MAX_PARTS).filter(|part| part.is_current);
            summary.unpriced = unpriced(current.map(|part| (&part.rated, part.is_named)), &known);
        }
        Ok(summary)
    }
}

/// The sums of both ranges.
#[derive(Debug, Default)]
struct RangeSums {
    totals: BothSums,
    by_source: BTreeMap<String, BothSums>,
    by_model: BTreeMap<String, BothSums>,
}

impl RangeSums {
    /// Of all parts of both ranges, with their rates.
    fn of_parts(parts: &[RangePart], known: &KnownRates) -> Self {
        let mut all = Self::default();
        for RangePart { is_current, rated, .. } in parts {
            let priced = PricedSums::at(rated.sums, known.get(&rated.rate_id).map(AsRef::as_ref));
            let by_source = all.by_source.entry(rated.key.source.clone()).or_default();
            let by_model = all.by_model.entry(rated.key.model.clone()).or_default();
            for sums in [&mut all.totals, by_source, by_model] {
                sums.add(*is_current, priced);
            }
        }
        all
    }

    /// Of sums that the database has added up.
    fn of_rows(rows: Vec<(RangeKey, PricedSums)>) -> Self {
        let mut all = Self::default();
        for (RangeKey { is_current, source, model }, priced) in rows {
            let sums = match (source, model) {
                (Some(source), _) => all.by_source.entry(source).or_default(),
                (None, Some(model)) => all.by_model.entry(model).or_default(),
                (None, None) => &mut all.totals,
            };
            sums.add(is_current, priced);
        }
        all
    }
}

impl BothSums {
    fn add(&mut self, is_current: bool, priced: PricedSums) {
        let sums = if is_current { &mut self.current } else { &mut self.previous };
        *sums = *sums + priced;
    }
}

/// Puts a summary together. Errors: 422 where there are more tools or models than it may list.
fn summary(before: DayRange, sums: RangeSums, streaks: Streaks) -> Result<SummaryAnswer, Problem> {
    let RangeSums { totals, by_source, by_model } = sums;
    for (name, count, most) in [("source", by_source.len(), MAX_SOURCES), ("model", by_model.len(), MAX_MODELS)] {
        if count > most {
            let detail = format!(
                "More than {most} {name}s, which is as many as a summary lists. Ask for fewer days, or for \
                 GET /v1/rollups?group_by={name}, which has pages."
            );
            return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
        }
    }
    for parts in [&by_source, &by_model] {
        parts.values().map(|sums| sums.current).sum::<PricedSums>().within(&totals.current)?;
        parts.values().map(|sums| sums.previous).sum::<PricedSums>().within(&totals.previous)?;
    }
    let [by_source, by_model] = [by_source, by_model].map(|sums| sums.into_iter().collect());
    Ok(SummaryAnswer { before, totals, by_source, by_model, unpriced: Vec::new(), streaks })
}
