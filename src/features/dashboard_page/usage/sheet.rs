//! The same numbers as a table for a spreadsheet.

use chrono::SecondsFormat;

use crate::kernel::bucket::TokenCounts;
use crate::kernel::dashboards::PartSums;
use crate::kernel::money::{Cost, shown_amount};
use crate::kernel::problem::Problem;

/// The columns of costs, as the API has them.
const OF_COST: [&str; 3] = ["cost_usd", "cost_high_usd", "unpriced_tokens"];

/// One line for each interval: its local start, its instants, and every counter, as text without an upper bound. Where there
/// is a book, also what its tokens cost at list prices.
pub fn sheet(whole: &PartSums, has_prices: bool) -> Result<Vec<u8>, Problem> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    let head = ["local_start", "start", "end"];
    let of_cost = OF_COST.into_iter().filter(|_| has_prices);
    lines
        .write_record(head.into_iter().chain(TokenCounts::NAMES_WITH_TOTAL).chain(of_cost))
        .map_err(Problem::internal)?;
    for interval in &whole.intervals {
        let totals = interval.totals();
        let when = [
            interval.local_start.format("%Y-%m-%dT%H:%M").to_string(),
            interval.starts_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            interval.ends_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        ];
        let sums = totals.with_total(totals.total_sum()).map(|sum| sum.to_string());
        let of_cost = cells(&interval.cost()).into_iter().filter(|_| has_prices);
        lines.write_record(when.into_iter().chain(sums).chain(of_cost)).map_err(Problem::internal)?;
    }
    lines.into_inner().map_err(|error| Problem::internal(error.to_string()))
}

/// An amount's cell is empty where no token has a price.
fn cells(cost: &Cost) -> [String; 3] {
    let amounts = cost.amounts();
    let amount = |picos: Option<u128>| picos.map(shown_amount).unwrap_or_default();
    [amount(amounts.map(|(low, _)| low)), amount(amounts.map(|(_, high)| high)), cost.unpriced_tokens.to_string()]
}
