//! A receipt in sheets, of the days of any zone: for who shows one however many lines it has.

use super::answer::{ReceiptLine, lines};
use super::request::DAYS;
use super::store;
use crate::features::dashboard_rollup::buckets::first_instant;
use crate::features::dashboard_rollup::cost::PricedSums;
use crate::features::dashboard_rollup::range::{DayRange, Scope};
use crate::features::dashboard_rollup::rollups::WholeRequest;
use crate::features::dashboard_rollup::snapshot::OpenSnapshot;
use crate::kernel::problem::{Problem, Violation};

/// A receipt has so many tools, models and rates at most, on all sheets.
const MAX_PARTS: usize = 20_000;

/// A sheet of a receipt, and what all sheets add up to.
#[derive(Clone, Debug)]
pub struct ReceiptSheet {
    /// The sums of all sheets.
    pub totals: PricedSums,
    /// How many tools, models and rates there are on all sheets.
    pub count: usize,
    /// How many of them are on this one.
    pub listed: usize,
    /// Their lines, by source and model.
    pub lines: Vec<ReceiptLine>,
}

impl OpenSnapshot<WholeRequest> {
    /// The receipt of a range, without the first tools, models and rates of it, and with at most so many. Errors: 422 for a
    /// range that is reversed or too long, for more of them than a receipt has, and where only buckets can answer and
    /// retention has removed some; the database's.
    pub async fn receipt(&mut self, days: DayRange, before: usize, most: usize) -> Result<ReceiptSheet, Problem> {
        if let Some(violation) = days.violation(&DAYS) {
            return Err(Problem::invalid(vec![violation]));
        }
        let Self { tx, user_id, state, request, rates, .. } = self;
        let scope = Scope { user_id: *user_id, days, filters: &request.filters, time_zone: state.time_zone() };
        let limit = i64::try_from(MAX_PARTS).map_err(Problem::internal)? + 1;
        let parts = if state.is_other_zone() {
            let first = first_instant(tx, days.from, state.time_zone()).await?;
            let instead = "Ask for later days, or for whole days in your own zone.";
            state.refuse_removed(tx, *user_id, first, instead).await?;
            store::bucket_cost_lines(tx, &scope, state.book(), limit).await?
        } else {
            store::cost_lines(tx, &scope, limit).await?
        };
        let count = parts.len();
        if count > MAX_PARTS {
            let detail = format!(
                "More than {MAX_PARTS} models and rates, which is as many as a receipt has. Ask for fewer days, or for one \
                 tool or model."
            );
            return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
        }
        let sheet = parts.get(before..count.min(before.saturating_add(most))).unwrap_or_default();
        let lines = lines(tx, rates, state.book(), sheet).await?;
        let listed = sheet.len();
        let totals = rates.price(tx, parts).await?.into_iter().map(|(_, priced)| priced).sum::<PricedSums>();
        totals.within(&totals)?;
        Ok(ReceiptSheet { totals, count, listed, lines })
    }
}
