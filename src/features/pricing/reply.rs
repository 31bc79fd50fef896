//! What is said of prices.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::books::{ImportedBook, PriceAnswer};
use super::calendar::{BEGINNING, END};
use super::request::PriceQuestion;
use super::row::ClassPrices;
use super::store::{BookRow, RateRow};
use crate::kernel::idempotency::Answer;
use crate::kernel::money::shown_price;
use crate::kernel::problem::Problem;

/// A price book.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PriceBook)]
pub struct BookReply {
    /// Its number.
    book: i32,
    /// The book before; null for the first.
    parent: Option<i32>,
    /// As of which day its prices are known.
    dated: NaiveDate,
    /// Why it was imported.
    reason: String,
    /// Who imported it: `operator`, `command`, or `server` for what a release brought.
    #[schema(example = "server")]
    imported_by: String,
    /// When.
    imported_at: DateTime<Utc>,
    /// Since when rollups are moved to it; null where it is not in force.
    in_force_since: Option<DateTime<Utc>>,
    /// Of everything that it says, in hexadecimal digits. The same prices are the same book.
    content_hash: String,
}

impl From<BookRow> for BookReply {
    fn from(row: BookRow) -> Self {
        Self {
            book: row.version,
            parent: row.parent,
            dated: row.dated,
            reason: row.reason,
            imported_by: row.imported_by,
            imported_at: row.imported_at,
            in_force_since: row.in_force_since,
            content_hash: hexadecimal(&row.content_hash),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"))
}

impl BookReply {
    /// The answer to an import.
    pub(super) fn answer_to_import(imported: &ImportedBook) -> Result<Answer, Problem> {
        let reply = Self::from(imported.book.clone());
        if imported.created { Answer::created(&reply) } else { Answer::ok(&reply) }
    }
}

/// All price books.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PriceBooks)]
pub struct BooksReply {
    /// The newest first.
    books: Vec<BookReply>,
}

impl From<Vec<BookRow>> for BooksReply {
    fn from(rows: Vec<BookRow>) -> Self {
        Self { books: rows.into_iter().map(BookReply::from).collect() }
    }
}

/// What a model costs, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Price)]
pub struct PriceReply {
    /// Always US dollars.
    #[schema(example = "USD")]
    currency: &'static str,
    /// Always `api_list`: public list prices of the API, without plans, discounts and taxes.
    #[schema(example = "api_list")]
    basis: &'static str,
    /// The book; null where none is in force.
    book: Option<i32>,
    /// As of which day the book's prices are known.
    dated: Option<NaiveDate>,
    /// The tool that was asked about.
    #[schema(example = "claude-code")]
    source: String,
    /// The model that was asked about.
    #[schema(example = "claude-opus-4-8[1m]")]
    model: String,
    /// What it stands for: the provider, its model, and how it is run; null where the book has no such name.
    #[schema(example = "anthropic/claude-opus-4-8")]
    sku: Option<String>,
    /// How the name was matched: `exact`, `dated`, `spelling`, `route`, `bedrock`, `region`, `free`, `context`, `effort` or
    /// `tier`.
    #[schema(example = "context")]
    rule: Option<String>,
    /// Why there is no rate: `no_book`, `unknown_model`, or `no_price_then` for an instant outside of every span.
    reason: Option<&'static str>,
    /// From when on these rates hold; null where the beginning is not known.
    valid_from: Option<DateTime<Utc>>,
    /// Until when; null where no end is known.
    valid_to: Option<DateTime<Utc>>,
    /// One rate, or three where the length of requests matters.
    rates: Vec<RateReply>,
}

/// One rate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rate)]
pub struct RateReply {
    /// As the receipt names it.
    rate_id: i32,
    /// `short`, `long`, or `range` for half hours of which nobody knows how long their requests were.
    #[schema(example = "short")]
    tier: String,
    /// The longest prompt that is short, in tokens; null where length does not matter.
    threshold_tokens: Option<i64>,
    /// US dollars per million tokens; null where no price is known, `0` where it is stated free.
    per_mtok: ClassPricesReply,
    /// The highest that it may have been: the same, unless the tier is `range`.
    per_mtok_high: ClassPricesReply,
    /// Where it was found.
    evidence: String,
}

/// Prices of the token classes, as decimals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ClassPrices)]
pub struct ClassPricesReply {
    /// Of input.
    #[schema(example = "5")]
    input: Option<String>,
    /// Of input that was read from a cache.
    #[schema(example = "0.5")]
    cache_read: Option<String>,
    /// Of writes into a cache of minutes.
    #[schema(example = "6.25")]
    cache_write_5m: Option<String>,
    /// Of writes into a cache of an hour or more.
    #[schema(example = "10")]
    cache_write_1h: Option<String>,
    /// Of output, reasoning included.
    #[schema(example = "25")]
    output: Option<String>,
}

impl From<ClassPrices> for ClassPricesReply {
    fn from(prices: ClassPrices) -> Self {
        let [input, cache_read, brief, long, output] = prices.map(|price| price.map(shown_price));
        Self { input, cache_read, cache_write_5m: brief, cache_write_1h: long, output }
    }
}

impl From<RateRow> for RateReply {
    fn from(row: RateRow) -> Self {
        Self {
            rate_id: row.rate_id,
            tier: row.tier,
            threshold_tokens: row.threshold,
            per_mtok: row.low.into(),
            per_mtok_high: row.high.into(),
            evidence: row.evidence,
        }
    }
}

impl PriceReply {
    /// The reply to a question.
    pub fn new(question: &PriceQuestion, answer: PriceAnswer) -> Self {
        let reason = match (&answer.book, &answer.name, answer.rates.is_empty()) {
            (None, ..) => Some("no_book"),
            (_, None, _) => Some("unknown_model"),
            (_, _, true) => Some("no_price_then"),
            _ => None,
        };
        let first = answer.rates.first();
        let (sku, rule) = answer.name.unzip();
        Self {
            currency: "USD",
            basis: "api_list",
            book: answer.book.as_ref().map(|book| book.version),
            dated: answer.book.as_ref().map(|book| book.dated),
            source: question.source.as_str().to_owned(),
            model: question.model.as_str().to_owned(),
            sku,
            rule,
            reason,
            valid_from: first.map(|rate| rate.from).filter(|from| *from > BEGINNING),
            valid_to: first.map(|rate| rate.to).filter(|to| *to < END),
            rates: answer.rates.into_iter().map(RateReply::from).collect(),
        }
    }

    /// The same for people.
    pub fn words(&self) -> String {
        let Some(sku) = &self.sku else {
            let why = self.reason.unwrap_or_default();
            return format!("{} of {} has no price: {why}.", self.model, self.source);
        };
        let class = |name: &str, price: &Option<String>| format!("{name} {}", price.as_deref().unwrap_or("unknown"));
        let line = |rate: &RateReply| {
            let ClassPricesReply { input, cache_read, cache_write_5m: brief, cache_write_1h: long, output } =
                &rate.per_mtok;
            let classes = [
                class("input", input),
                class("cache read", cache_read),
                class("cache write 5m", brief),
                class("cache write 1h", long),
                class("output", output),
            ];
            format!("  {:5}  {}  ({})", rate.tier, classes.join(", "), rate.evidence)
        };
        let rule = self.rule.as_deref().unwrap_or_default();
        let lines = self.rates.iter().map(line).collect::<Vec<_>>().join("\n");
        let rates = if lines.is_empty() { "  no price at that time".to_owned() } else { lines };
        format!("{sku} by the rule {rule}, USD per million tokens:\n{rates}")
    }
}
