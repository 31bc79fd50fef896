//! A price file as a book says it: rates, the spans in which they hold, and the names of what is sold.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};

use super::calendar::{BEGINNING, END, HourStretch, PriceHours, Times};
use super::names::{FREE, Names, PriceName, Spelled, sku};
use super::row::{ClassPrices, Long, PriceRow, Variant};
use crate::kernel::money::HIGHEST_PRICE;
use crate::kernel::problem::Violation;

/// What says the same has the same hash.
pub type Hash = [u8; 32];

/// From when to when which rates hold.
pub type Held = (DateTime<Utc>, DateTime<Utc>, [Hash; 3]);

/// One multiplier is a million millionths.
const ONE: i64 = 1_000_000;

/// How long the requests of a half hour were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Each is within the threshold, or there is none.
    Short,
    /// Each is above it.
    Long,
    /// Nobody knows.
    Range,
}

impl Tier {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Range => "range",
        }
    }
}

/// Prices that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRate {
    /// Of everything but the evidence.
    pub hash: Hash,
    /// Whose price list it is from.
    pub provider: String,
    /// What is sold.
    pub sku: String,
    /// For which requests.
    pub tier: Tier,
    /// The prices, or the lowest that they may have been.
    pub low: ClassPrices,
    /// The highest that they may have been.
    pub high: ClassPrices,
    /// The longest prompt that is short.
    pub threshold: Option<i64>,
    /// Where they were found.
    pub evidence: String,
}

/// When which rates hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSpan {
    /// What is sold.
    pub sku: String,
    /// The first half hour.
    pub from: DateTime<Utc>,
    /// The first half hour after it.
    pub to: DateTime<Utc>,
    /// The longest prompt that is short.
    pub threshold: Option<i64>,
    /// The rates for short, long and unknown requests.
    pub rates: [Hash; 3],
    /// The line that says so.
    pub line: u64,
}

/// Everything that a book says.
#[derive(Debug)]
pub struct Listing {
    /// Its rates, each once.
    pub rates: Vec<ListedRate>,
    /// Its spans, by sku and time.
    pub spans: Vec<PriceSpan>,
    /// Its names.
    pub names: Vec<PriceName>,
    /// Of all of it, so that the same prices are the same book.
    pub hash: Hash,
}

impl Listing {
    /// Puts a book together. Errors: spans that overlap, products finer than a micro-dollar.
    pub fn of(rows: &[PriceRow]) -> Result<Self, Vec<Violation>> {
        let mut making = Making::default();
        let mut models: BTreeMap<(&str, &str), Vec<&PriceRow>> = BTreeMap::new();
        for row in rows {
            models.entry((&row.provider, &row.model)).or_default().push(row);
        }
        let mut names = Names::default();
        for ((provider, model), rows) in &models {
            // A name that moves has no price, and neither have its variants.
            if rows.iter().any(|row| row.is_moving) {
                continue;
            }
            if rows.iter().all(|row| row.variant != Variant::Standard) {
                let line = rows.first().map_or(0, |row| row.line);
                let detail = format!("No line says what {model} of {provider} costs without a variant.");
                making.violations.push(Violation::new(format!("/csv/{line}/variant"), "variant_without_model", detail));
                continue;
            }
            making.model(provider, model, rows);
            let variants: HashSet<&str> = making.variants_of(provider, model).collect();
            let mut variants: Vec<&str> = variants.into_iter().collect();
            variants.sort_unstable();
            names.spell(&Spelled { provider, model, variants });
        }
        making.free();
        making.finish(names.finish())
    }

    /// Every span of a sku: from when to when which rates hold.
    pub fn timelines(&self) -> HashMap<&str, Vec<Held>> {
        let mut timelines: HashMap<&str, Vec<Held>> = HashMap::new();
        for span in &self.spans {
            timelines.entry(&span.sku).or_default().push((span.from, span.to, span.rates));
        }
        timelines
    }
}

#[derive(Debug, Default)]
struct Making {
    rates: HashMap<Hash, ListedRate>,
    spans: BTreeMap<(String, DateTime<Utc>), PriceSpan>,
    violations: Vec<Violation>,
}

/// What is sold at which prices.
struct Offer<'a> {
    row: &'a PriceRow,
    sku: String,
    prices: ClassPrices,
    long: Option<Long>,
}

impl Making {
    fn model(&mut self, provider: &str, model: &str, rows: &[&PriceRow]) {
        let standard: Vec<&PriceRow> = rows.iter().filter(|row| row.variant == Variant::Standard).copied().collect();
        for row in &standard {
            let offer = |variant: &str, prices, long| Offer { row, sku: sku(provider, model, variant), prices, long };
            if row.window == PriceHours::Otherwise && other_times(row, &standard).is_none() {
                let detail = "No line of this model has times of the day from the same effective_from to the same effective_until.";
                let pointer = format!("/csv/{}/daily_utc_window", row.line);
                self.violations.push(Violation::new(pointer, "no_other_hours", detail));
            }
            let mut offers = vec![offer("", row.prices, row.long)];
            if let Some(long) = row.long {
                offers.push(offer("short", row.prices, None));
                offers.push(offer("long", long.prices, None));
            }
            for stretch in stretches(row, &standard) {
                for offer in &offers {
                    self.span(offer, stretch);
                }
            }
        }
        for row in rows {
            match &row.variant {
                Variant::Standard => {}
                Variant::Priced(variant) => {
                    let last = standard.iter().max_by_key(|row| row.from);
                    let from = row.from.or_else(|| last.and_then(|row| row.from)).unwrap_or(BEGINNING);
                    let to = row.until.or_else(|| last.and_then(|row| row.until)).unwrap_or(END);
                    let offer = Offer { row, sku: sku(provider, model, variant), prices: row.prices, long: row.long };
                    if from < to {
                        self.span(&offer, (from, to));
                    }
                }
                Variant::Times(variant, factor) => self.multiplied(row, rows, &standard, variant, *factor),
            }
        }
    }

    /// A variant at the usual prices, times a factor, wherever it has no prices of its own.
    fn multiplied(&mut self, row: &PriceRow, rows: &[&PriceRow], standard: &[&PriceRow], variant: &str, factor: i64) {
        let is_priced = |row: &&PriceRow| matches!(&row.variant, Variant::Priced(name) if name == variant);
        if rows.iter().any(is_priced) {
            return;
        }
        for base in standard {
            let prices = product(base.prices, factor);
            let long = base
                .long
                .map(|long| product(long.prices, factor).map(|prices| Long { threshold: long.threshold, prices }));
            let (Some(prices), Some(long)) = (prices, long.map_or(Some(None), |long| long.map(Some))) else {
                let detail = "Times this, a price is finer than a micro-dollar, or above 10000 USD.";
                let pointer = format!("/csv/{}/multiplier", row.line);
                self.violations.push(Violation::new(pointer, "price_too_fine", detail));
                return;
            };
            let offer = Offer { row, sku: sku(&row.provider, &row.model, variant), prices, long };
            for stretch in stretches(base, standard) {
                self.span(&offer, stretch);
            }
        }
    }

    /// What is stated free, behind whichever route.
    fn free(&mut self) {
        let prices = [Some(0); 5];
        let evidence = "the name says so: `:free`";
        let hash = self.rate("openrouter", FREE, Tier::Short, (prices, prices), None, evidence);
        let span =
            PriceSpan { sku: FREE.to_owned(), from: BEGINNING, to: END, threshold: None, rates: [hash; 3], line: 0 };
        self.spans.insert((FREE.to_owned(), BEGINNING), span);
    }

    fn span(&mut self, offer: &Offer<'_>, (from, to): HourStretch) {
        let Offer { row, sku, prices, long } = offer;
        let threshold = long.map(|long| long.threshold);
        let mut rate = |tier, prices| self.rate(&row.provider, sku, tier, prices, threshold, &row.evidence);
        let short = rate(Tier::Short, (*prices, *prices));
        let rates = long.map_or([short; 3], |long| {
            [short, rate(Tier::Long, (long.prices, long.prices)), rate(Tier::Range, between(*prices, long.prices))]
        });
        let span = PriceSpan { sku: sku.clone(), from, to, threshold, rates, line: row.line };
        if let Some(other) = self.spans.insert((sku.clone(), from), span) {
            self.overlap(row.line, other.line);
        }
    }

    fn rate(
        &mut self,
        provider: &str,
        sku: &str,
        tier: Tier,
        (low, high): (ClassPrices, ClassPrices),
        threshold: Option<i64>,
        evidence: &str,
    ) -> Hash {
        let hash = hash_of(&(provider, sku, tier.as_str(), low, high, threshold));
        self.rates.entry(hash).or_insert_with(|| ListedRate {
            hash,
            provider: provider.to_owned(),
            sku: sku.to_owned(),
            tier,
            low,
            high,
            threshold,
            evidence: evidence.to_owned(),
        });
        hash
    }

    fn overlap(&mut self, line: u64, other: u64) {
        let detail = format!("This price and that of line {other} hold at the same time.");
        self.violations.push(Violation::new(format!("/csv/{line}/effective_from"), "overlapping_span", detail));
    }

    fn variants_of<'a>(&'a self, provider: &str, model: &str) -> impl Iterator<Item = &'a str> {
        let prefix = sku(provider, model, "") + "+";
        let last = prefix.clone() + "\u{10ffff}";
        let skus = self.spans.range((prefix.clone(), BEGINNING)..(last, BEGINNING)).map(|((sku, _), _)| sku);
        skus.filter_map(move |sku| sku.get(prefix.len()..))
    }

    fn finish(mut self, names: Vec<PriceName>) -> Result<Listing, Vec<Violation>> {
        let spans: Vec<PriceSpan> = std::mem::take(&mut self.spans).into_values().collect();
        for pair in spans.windows(2) {
            if let [before, after] = pair
                && before.sku == after.sku
                && before.to > after.from
            {
                self.overlap(after.line, before.line);
            }
        }
        if !self.violations.is_empty() {
            return Err(self.violations);
        }
        let mut rates: Vec<ListedRate> = self.rates.into_values().collect();
        rates.sort_by(|one, other| (&one.sku, one.hash).cmp(&(&other.sku, other.hash)));
        let said: Vec<_> = spans.iter().map(|span| (&span.sku, span.from, span.to, span.rates)).collect();
        let spelled: Vec<_> =
            names.iter().map(|name| (&name.source, &name.name, &name.sku, name.rule.as_str())).collect();
        let hash = hash_of(&(said, spelled));
        Ok(Listing { rates, spans, names, hash })
    }
}

/// When a price holds: all of its time, or the hours of its window.
fn stretches(row: &PriceRow, all: &[&PriceRow]) -> Vec<HourStretch> {
    row.window.stretches(when(row), other_times(row, all))
}

fn when(row: &PriceRow) -> HourStretch {
    (row.from.unwrap_or(BEGINNING), row.until.unwrap_or(END))
}

/// The times of the day of the other price of the same time.
fn other_times<'a>(row: &PriceRow, all: &[&'a PriceRow]) -> Option<&'a Times> {
    all.iter().find_map(|other| match &other.window {
        PriceHours::Within(times) if when(other) == when(row) => Some(times),
        _ => None,
    })
}

/// The lowest and the highest of two prices, where both are known.
fn between(one: ClassPrices, other: ClassPrices) -> (ClassPrices, ClassPrices) {
    let of = |prices: &ClassPrices, place: usize| prices.get(place).copied().flatten();
    let both = |place: usize| of(&one, place).zip(of(&other, place));
    let choose =
        |choice: fn(i64, i64) -> i64| std::array::from_fn(|place| both(place).map(|(one, other)| choice(one, other)));
    (choose(i64::min), choose(i64::max))
}

/// Prices times millionths; `None` where one does not come out even.
fn product(prices: ClassPrices, factor: i64) -> Option<ClassPrices> {
    let mut products = prices;
    for price in products.iter_mut().flatten() {
        let whole = i128::from(*price) * i128::from(factor);
        let even = whole % i128::from(ONE) == 0;
        *price = i64::try_from(whole / i128::from(ONE)).ok().filter(|price| even && *price <= HIGHEST_PRICE)?;
    }
    Some(products)
}

/// JSON is hashed while it is written: that of a whole book takes megabytes.
#[derive(Default)]
struct JsonHash(Sha256);

impl std::io::Write for JsonHash {
    fn write(&mut self, json: &[u8]) -> std::io::Result<usize> {
        self.0.update(json);
        Ok(json.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn hash_of(said: &impl serde::Serialize) -> Hash {
    let mut hash = JsonHash::default();
    // Numbers and texts always become JSON.
    let _ = serde_json::to_writer(&mut hash, said);
    hash.0.finalize().into()
}
