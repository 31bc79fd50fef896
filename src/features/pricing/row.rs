//! One line of a price file, and everything that is wrong with it.

use std::collections::HashMap;

use chrono::{DateTime, NaiveTime, Utc};
use csv::StringRecord;

use super::calendar::{BEGINNING, END, PriceHours, known_from};
use crate::kernel::bucket::{HalfHour, Model, Source};
use crate::kernel::http::field_reader::Broken;
use crate::kernel::http::values;
use crate::kernel::money::{NoPrice, price};
use crate::kernel::problem::Violation;

/// Prices of the classes in micro-dollars per million tokens, in the order of [`CLASSES`]. `None` where none is known.
pub type ClassPrices = [Option<i64>; 5];

/// The classes that have a price, as buckets name them.
pub const CLASSES: [&str; 5] = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"];

/// Every column that a price file may have; the first five classes are those of [`CLASSES`], in their order.
const COLUMNS: [&str; 24] = [
    "provider",
    "model_pattern",
    "variant",
    "input_per_mtok_usd",
    "cache_read_per_mtok_usd",
    "cache_write_5m_per_mtok_usd",
    "cache_write_1h_per_mtok_usd",
    "output_per_mtok_usd",
    "long_context_threshold_tokens",
    "long_input_per_mtok_usd",
    "long_cache_read_per_mtok_usd",
    "long_cache_write_5m_per_mtok_usd",
    "long_cache_write_1h_per_mtok_usd",
    "long_output_per_mtok_usd",
    "multiplier",
    "effective_from",
    "known_from",
    "effective_basis",
    "effective_until",
    "daily_utc_window",
    "agreement",
    "source",
    "note",
    "declared",
];
const REQUIRED: [&str; 4] = ["provider", "model_pattern", "input_per_mtok_usd", "source"];

/// How a model is sold besides as usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variant {
    /// As usual.
    Standard,
    /// At prices of its own.
    Priced(String),
    /// At the usual prices, times so many millionths.
    Times(String, i64),
}

/// What an importer says of a price that differs from the book before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// It is another one from an instant on, which has not come yet.
    Change,
    /// The book before was wrong.
    Correction,
}

/// What requests above a threshold cost, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// The longest prompt that is short, in tokens.
    pub threshold: i64,
    /// Their prices.
    pub prices: ClassPrices,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRow {
    /// Where it stands in its file.
    pub line: u64,
    /// Whose price list it is from.
    pub provider: String,
    /// The provider's name of the model.
    pub model: String,
    /// How it is sold.
    pub variant: Variant,
    /// Its prices.
    pub prices: ClassPrices,
    /// Where length matters.
    pub long: Option<Long>,
    /// From when on.
    pub from: Option<DateTime<Utc>>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
    /// At which hours.
    pub window: PriceHours,
    /// The name points to other models over time, so that no price of it can be right.
    pub is_moving: bool,
    /// What is said of a difference from the book before.
    pub declared: Option<Declared>,
    /// Where it was found.
    pub evidence: String,
    /// What else is to be known.
    pub note: String,
}

/// Reads a file. Errors: every violation, by line and column.
pub fn read(text: &str) -> Result<Vec<PriceRow>, Vec<Violation>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let columns = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => return Err(vec![no_csv(1, &error)]),
    };
    let mut violations: Vec<_> = columns
        .iter()
        .filter(|name| !COLUMNS.contains(name))
        .map(|name| {
            let known = COLUMNS.join(", ");
            Violation::new(format!("/csv/1/{name}"), "unknown_column", format!("Known columns are {known}."))
        })
        .collect();
    let missing = REQUIRED.into_iter().filter(|name| !columns.iter().any(|column| column == *name));
    violations
        .extend(missing.map(|name| {
            Violation::new(format!("/csv/1/{name}"), "missing", "The first line has to name this column.")
        }));
    if !violations.is_empty() {
        return Err(violations);
    }
    let places: HashMap<&str, usize> = columns.iter().enumerate().map(|(place, name)| (name, place)).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => rows.extend(Cells::new(&record, &places, &mut violations).row()),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                violations.push(no_csv(line, &error));
            }
        }
    }
    if violations.is_empty() { Ok(rows) } else { Err(violations) }
}

fn no_csv(line: u64, error: &csv::Error) -> Violation {
    let found = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("This line has {len} cells where the first one has {expected_len}.")
        }
        _ => "This line is no CSV in UTF-8.".to_owned(),
    };
    Violation::new(format!("/csv/{line}"), "not_csv", found)
}

/// The cells of one line.
struct Cells<'a> {
    record: &'a StringRecord,
    places: &'a HashMap<&'a str, usize>,
    line: u64,
    violations: &'a mut Vec<Violation>,
}

impl<'a> Cells<'a> {
    fn new(record: &'a StringRecord, places: &'a HashMap<&'a str, usize>, violations: &'a mut Vec<Violation>) -> Self {
        let line = record.position().map_or(0, csv::Position::line);
        Self { record, places, line, violations }
    }

    /// The whole line; `None` where something is wrong with it, which was noted.
    fn row(mut self) -> Option<PriceRow> {
        let before = self.violations.len();
        let provider = self.required("provider", |text| {
            let broken = ("malformed_provider", "Expected 1 to 64 of a-z 0-9 . _ -.".into());
            Source::parse(text).map(|name| name.as_str().to_owned()).ok_or(broken)
        });
        let model = self.required("model_pattern", |text| {
            let broken = ("malformed_model", "Expected a model's name, as a bucket may have it.".into());
            Model::parse(text).map(|name| name.as_str().to_owned()).map_err(|_no_model| broken)
        });
        let variant = self.variant();
        let prices = self.prices("");
        let long = self.long();
        let (from, known_from) = (self.instant("effective_from"), self.instant("known_from"));
        let until = self.instant("effective_until");
        let from = from.or(known_from);
        if from.zip(until).is_some_and(|(from, until)| from >= until) {
            self.refuse("effective_until", ("span_is_empty", "It must be after effective_from.".into()));
        }
        let window = self.window(from, until);
        let is_moving = self.text("effective_basis") == "moving_alias";
        let declared = self.declared();
        let evidence = self.required("source", |text| values::line(text, "A source", 500));
        let note = self.text("note").to_owned();
        if declared == Some(Declared::Correction) && note.is_empty() {
            self.refuse("note", ("correction_needs_reason", "Say what was wrong, and how it is known.".into()));
        }
        let is_priced = prices.iter().any(Option::is_some) || matches!(variant, Some(Variant::Times(..)));
        if !is_priced && self.violations.len() == before {
            self.refuse("input_per_mtok_usd", ("no_price", "At least one class has a price.".into()));
        }
        if self.violations.len() > before {
            return None;
        }
        let (line, variant) = (self.line, variant?);
        let (provider, model, evidence) = (provider?, model?, evidence?);
        Some(PriceRow {
            line,
            provider,
            model,
            variant,
            prices,
            long,
            from,
            until,
            window,
            is_moving,
            declared,
            evidence,
            note,
        })
    }

    fn text(&self, name: &str) -> &'a str {
        self.places.get(name).and_then(|place| self.record.get(*place)).unwrap_or_default()
    }

    fn refuse(&mut self, name: &str, (code, detail): Broken) {
        self.violations.push(Violation::new(format!("/csv/{}/{name}", self.line), code, detail));
    }

    fn required<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        let text = self.text(name);
        let read = if text.is_empty() { Err(("missing", "This is required.".into())) } else { rule(text) };
        read.map_err(|broken| self.refuse(name, broken)).ok()
    }

    fn optional<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        if self.text(name).is_empty() { None } else { self.required(name, rule) }
    }

    fn prices(&mut self, prefix: &str) -> ClassPrices {
        CLASSES.map(|class| self.optional(&format!("{prefix}{class}_per_mtok_usd"), usd))
    }

    fn long(&mut self) -> Option<Long> {
        let threshold = self.optional("long_context_threshold_tokens", |text| {
            let tokens = text.parse().ok().filter(|tokens| (1..=1_000_000_000).contains(tokens));
            tokens.ok_or(("not_a_threshold", "Expected a whole number of tokens, 1 to 1000000000.".into()))
        });
        let prices = self.prices("long_");
        if self.text("long_context_threshold_tokens").is_empty() && prices.iter().any(Option::is_some) {
            let needed = ("missing", "Long prices need a threshold.".into());
            self.refuse("long_context_threshold_tokens", needed);
        }
        threshold.map(|threshold| Long { threshold, prices })
    }

    fn variant(&mut self) -> Option<Variant> {
        let factor = self.optional("multiplier", usd);
        let text = self.text("variant");
        let (name, is_multiplier) = match text.strip_prefix("multiplier:") {
            Some(name) => (name, true),
            None => (text, false),
        };
        if text.is_empty() {
            return Some(Variant::Standard);
        }
        if Source::parse(name).is_none() {
            self.refuse("variant", ("malformed_variant", "Expected 1 to 64 of a-z 0-9 . _ -.".into()));
            return None;
        }
        match (is_multiplier, factor) {
            (false, None) => Some(Variant::Priced(name.to_owned())),
            (true, Some(factor)) => Some(Variant::Times(name.to_owned(), factor)),
            _ => {
                let detail = "A variant `multiplier:…` has a multiplier, and no other one has.";
                self.refuse("multiplier", ("multiplier_mismatch", detail.into()));
                None
            }
        }
    }

    /// An instant on a half hour, or a day, which begins at midnight in UTC.
    fn instant(&mut self, name: &str) -> Option<DateTime<Utc>> {
        self.optional(name, |text| {
            let start = match values::date(text) {
                Ok(day) => day.and_time(NaiveTime::MIN).and_utc(),
                Err(_no_day) => values::instant(text).map_err(|_no_instant| {
                    ("not_an_instant", "Expected a day `2026-11-20` or an instant `2026-11-20T16:00:00Z`.".into())
                })?,
            };
            if start >= END {
                return Err(("too_late", "Expected an instant before the year 9000.".into()));
            }
            if start < BEGINNING {
                return Err(values::BEFORE_2020);
            }
            let unaligned = "Prices change on :00 or :30 in UTC, without seconds.";
            HalfHour::new(start).map(HalfHour::start).ok_or(("not_a_half_hour", unaligned.into()))
        })
    }

    fn window(&mut self, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> PriceHours {
        let window = match PriceHours::parse(self.text("daily_utc_window")) {
            Ok(window) => window,
            Err(expected) => {
                self.refuse("daily_utc_window", ("not_a_window", expected.into()));
                return PriceHours::Always;
            }
        };
        if let PriceHours::Within(times) = &window {
            if times.are_bounded_by_holidays() {
                if from.is_none_or(|from| from < known_from()) {
                    let detail = format!("Holidays are known from {} on.", known_from().date_naive());
                    self.refuse("effective_from", ("holidays_unknown", detail.into()));
                }
            } else if from.is_none() || until.is_none() {
                let detail = "A price by the time of day needs effective_from and effective_until.";
                self.refuse("daily_utc_window", ("window_needs_bounds", detail.into()));
            }
        }
        window
    }

    fn declared(&mut self) -> Option<Declared> {
        self.optional("declared", |text| match text {
            "change" => Ok(Declared::Change),
            "correction" => Ok(Declared::Correction),
            _ => Err(("unknown_declaration", "Expected change or correction.".into())),
        })
    }
}

fn usd(text: &str) -> Result<i64, Broken> {
    price(text).map_err(|no_price| match no_price {
        NoPrice::NotADecimal => ("not_a_price", "Expected dollars in plain decimals, such as 0.003625.".into()),
        NoPrice::TooFine => ("price_too_fine", "A price has at most six decimals.".into()),
        NoPrice::TooHigh => ("price_too_high", "A price is at most 10000 USD per million tokens.".into()),
    })
}
