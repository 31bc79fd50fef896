//! The same numbers as a table for a spreadsheet.

use chrono::SecondsFormat;

use crate::kernel::bucket::TokenCounts;
use crate::kernel::dashboards::PartSums;
use crate::kernel::problem::Problem;

/// One line for each interval: its local start, its instants, and every counter, as text without an upper bound.
pub fn sheet(whole: &PartSums) -> Result<Vec<u8>, Problem> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    let head = ["local_start", "start", "end"];
    lines.write_record(head.into_iter().chain(TokenCounts::NAMES_WITH_TOTAL)).map_err(Problem::internal)?;
    for interval in &whole.intervals {
        let totals = interval.totals();
        let when = [
            interval.local_start.format("%Y-%m-%dT%H:%M").to_string(),
            interval.starts_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            interval.ends_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        ];
        let sums = totals.with_total(totals.total_sum()).map(|sum| sum.to_string());
        lines.write_record(when.iter().chain(&sums)).map_err(Problem::internal)?;
    }
    lines.into_inner().map_err(|error| Problem::internal(error.to_string()))
}
