//! The answer to a request for a receipt: tokens, price and amount of each class, and why it is that price.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;

use super::request::ReceiptRequest;
use super::store::{self, Match, Pair};
use crate::features::dashboard_rollup::cost::{CLASSES, KnownRates, PricedSums, Rate, RatedSums, Rates, tokens};
use crate::features::dashboard_rollup::range::Scope;
use crate::features::dashboard_rollup::snapshot::{Answered, OpenSnapshot};
use crate::features::dashboard_rollup::sums::Counters;
use crate::kernel::database::Tx;
use crate::kernel::problem::{Problem, Violation};

/// A receipt has lines for so many pairs of source and model, and rates, at most.
const MAX_ROWS: usize = 1000;
/// So many pairs without a price are listed.
const MAX_UNPRICED: usize = 100;

/// A receipt.
#[derive(Clone, Debug)]
pub struct ReceiptAnswer {
    /// The sums of all lines.
    pub totals: PricedSums,
    /// Its lines, by source and model.
    pub lines: Vec<ReceiptLine>,
}

/// The tokens of one class at one price.
#[derive(Clone, Debug)]
pub struct ReceiptLine {
    /// The tool.
    pub source: String,
    /// The model, as it reports it.
    pub model: String,
    /// What it stands for, and by which rule.
    pub matched: Match,
    /// Its rate, with its number.
    pub rate: Option<(i32, Arc<Rate>)>,
    /// Which tokens: one of the classes of a price, or `unclassified`.
    pub class: &'static str,
    /// How many.
    pub tokens: u128,
    /// What a million of them cost.
    pub price: Price,
}

/// What a million tokens cost in micro-dollars, at least and at most; or why that is not known.
type Price = Result<(u64, u64), &'static str>;

impl ReceiptLine {
    /// From when on and until when the rate holds for the model in the book, as far as that is known.
    pub fn validity(&self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        (bound(self.matched.valid_from), bound(self.matched.valid_to))
    }
}

/// Tokens without a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpriced {
    /// The tool.
    pub source: String,
    /// The model, as it reports it.
    pub model: String,
    /// How many.
    pub tokens: u128,
    /// Why.
    pub reason: &'static str,
}

impl OpenSnapshot<ReceiptRequest> {
    /// Reads the sums and closes the snapshot. Errors: 422 for more lines than a receipt has; the database's.
    pub async fn answer(self) -> Result<Answered<ReceiptAnswer>, Problem> {
        self.answer_with(|snapshot| snapshot.read().boxed()).await
    }

    async fn read(&mut self) -> Result<ReceiptAnswer, Problem> {
        let Self { tx, user_id, state, days, request, rates, .. } = self;
        let scope = Scope { user_id: *user_id, days: *days, filters: &request.filters, time_zone: state.time_zone() };
        let limit = i64::try_from(MAX_ROWS).map_err(Problem::internal)? + 1;
        let parts = store::cost_lines(tx, &scope, limit).await?;
        if parts.len() > MAX_ROWS {
            let detail = format!(
                "More than {MAX_ROWS} models and rates, which is as many as a receipt has. Ask for fewer days, or for one \
                 source or model."
            );
            return Err(Problem::invalid(vec![Violation::new("?from", "too_many_rows", detail)]));
        }
        let lines = lines(tx, rates, state.book(), &parts).await?;
        let totals = rates.price(tx, parts).await?.into_iter().map(|(_, priced)| priced).sum::<PricedSums>();
        totals.within(&totals)?;
        Ok(ReceiptAnswer { totals, lines })
    }
}

/// The pairs whose tokens have no price, those with the most tokens first: of parts in the order of pairs, each with the
/// word whether a book has a name for its model.
pub fn unpriced<'a>(parts: impl Iterator<Item = (&'a RatedSums<Pair>, bool)>, known: &KnownRates) -> Vec<Unpriced> {
    let mut unpriced: Vec<Unpriced> = Vec::new();
    for (RatedSums { key, rate_id, sums }, is_named) in parts {
        let Pair { source, model } = key;
        for (_, tokens, price) in classes(sums, known.get(rate_id).map(AsRef::as_ref), true, is_named) {
            let Err(reason) = price else { continue };
            let same = unpriced.iter_mut().rev().take(CLASSES.len());
            match same.into_iter().find(|u| u.source == *source && u.model == *model && u.reason == reason) {
                Some(known) => known.tokens += tokens,
                None => unpriced.push(Unpriced { source: source.clone(), model: model.clone(), tokens, reason }),
            }
        }
    }
    unpriced.sort_by_key(|unpriced| Reverse(unpriced.tokens));
    unpriced.truncate(MAX_UNPRICED);
    unpriced
}

/// A line for each class of each part that has tokens.
pub async fn lines(
    tx: &mut Tx,
    rates: &Rates,
    book: Option<i32>,
    parts: &[RatedSums<Pair>],
) -> Result<Vec<ReceiptLine>, Problem> {
    let known = rates.among(tx, parts.iter().map(|part| part.rate_id)).await?;
    let found = match book {
        Some(book) => store::matches(tx, book, parts).await?,
        None => Vec::new(),
    };
    let unmatched = Match { sku: None, rule: None, valid_from: None, valid_to: None };
    let mut lines = Vec::new();
    for (place, RatedSums { key, rate_id, sums }) in parts.iter().enumerate() {
        let matched = found.get(place).unwrap_or(&unmatched);
        let rate = known.get(rate_id).map(|rate| (*rate_id, rate.clone()));
        let at = rate.as_ref().map(|(_, rate)| rate.as_ref());
        for (class, tokens, price) in classes(sums, at, book.is_some(), matched.sku.is_some()) {
            let Pair { source, model } = key.clone();
            lines.push(ReceiptLine {
                source,
                model,
                matched: matched.clone(),
                rate: rate.clone(),
                class,
                tokens,
                price,
            });
        }
    }
    Ok(lines)
}

/// The classes of sums that have tokens, with what is unclassified. Each has its prices, or why it has none.
fn classes(
    sums: &Counters,
    rate: Option<&Rate>,
    has_book: bool,
    is_named: bool,
) -> impl Iterator<Item = (&'static str, u128, Price)> {
    let why_not = match rate {
        Some(_) => "no_class_price",
        None if !has_book => "no_book",
        None if is_named => "no_price_then",
        None => "unknown_model",
    };
    let prices = rate.map_or([None; 5], Rate::prices);
    let classes = CLASSES.into_iter().zip(tokens(sums)).zip(prices);
    let classes = classes.map(move |((class, tokens), price)| (class, tokens, price.ok_or(why_not)));
    let rest = if rate.is_some() { "unclassified" } else { why_not };
    let unclassified = ("unclassified", sums.of_counters.unclassified_tokens, Err(rest));
    classes.chain([unclassified]).filter(|(_, tokens, _)| *tokens > 0)
}

/// An instant that stands for no bound is none: nothing is kept from before 2020, or from the year 9000 on.
fn bound(at: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let first = crate::kernel::bucket::HalfHour::FIRST;
    at.filter(|at| *at > first && chrono::Datelike::year(&at.date_naive()) < 9000)
}
