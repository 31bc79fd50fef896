//! The one table at the end.

use std::cmp::Ordering;
use std::fmt::{self, Display};
use std::time::Duration;

/// Measures, in the order in which they were taken.
#[derive(Debug)]
pub struct Table {
    rows: Vec<[String; 5]>,
}

impl Table {
    pub fn new() -> Self {
        Self { rows: vec![["measure", "product", "raw", "ratio", "wanted"].map(str::to_owned)] }
    }

    /// A rate beside the one of raw SQL, and what their ratio should be.
    pub fn compare(&mut self, measure: impl Display, product: f64, raw: f64, wanted: &str) {
        let ratio = product / raw.max(f64::MIN_POSITIVE);
        let cells = [measure.to_string(), rate(product), rate(raw), format!("{ratio:.2}"), wanted.to_owned()];
        self.add(cells);
    }

    /// Rates of runs that took turns with those of raw SQL: each by its median and its extremes, and so is the ratio of
    /// neighbours.
    pub fn pairs(&mut self, measure: impl Display, product: &[f64], raw: &[f64], wanted: &str) {
        let ratios: Vec<f64> =
            product.iter().zip(raw).map(|(product, raw)| product / raw.max(f64::MIN_POSITIVE)).collect();
        let cells = [spread(product, 0) + "/s", spread(raw, 0) + "/s", spread(&ratios, 2)];
        let [product, raw, ratio] = cells;
        self.add([measure.to_string(), product, raw, ratio, wanted.to_owned()]);
    }

    /// Something that raw SQL has no equal to.
    pub fn note(&mut self, measure: impl Display, product: impl Display, wanted: &str) {
        self.add([measure.to_string(), product.to_string(), String::new(), String::new(), wanted.to_owned()]);
    }

    /// Shown at once too, for whoever waits.
    fn add(&mut self, row: [String; 5]) {
        progress(format_args!("{}", row.join(" | ")));
        self.rows.push(row);
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [width(0), width(1), width(2), width(3), width(4)];
        for (position, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            writeln!(formatter, "| {} |", cells.collect::<Vec<_>>().join(" | "))?;
            if position == 0 {
                writeln!(formatter, "|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"))?;
            }
        }
        Ok(())
    }
}

/// Says on standard error what is going on.
pub fn progress(what: fmt::Arguments<'_>) {
    use std::io::Write as _;
    // When nobody listens, the table comes all the same.
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// A rate without decimals.
pub fn rate(per_second: f64) -> String {
    format!("{per_second:.0}/s")
}

pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The median of some figures, and the extremes behind it.
pub fn spread(figures: &[f64], decimals: usize) -> String {
    let lowest = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.decimals$} [{lowest:.decimals$}, {highest:.decimals$}]", median(figures.to_vec()))
}

/// The middle one of an odd number of figures.
pub fn median<T: Copy + Default + PartialOrd>(mut figures: Vec<T>) -> T {
    figures.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(Ordering::Equal));
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
