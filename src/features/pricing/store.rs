//! The SQL of prices.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::listing::{Hash, Held, ListedRate, Listing, PriceSpan};
use super::names::PriceName;
use super::row::ClassPrices;
use crate::kernel::access::Actor;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// A sealed book.
#[derive(Clone, Debug)]
pub struct BookRow {
    /// Its number.
    pub version: i32,
    /// Of everything that it says.
    pub content_hash: Vec<u8>,
    /// The book before.
    pub parent: Option<i32>,
    /// As of which day its prices are known.
    pub dated: NaiveDate,
    /// Why it was imported.
    pub reason: String,
    /// Who imported it: operator, command or server.
    pub imported_by: String,
    /// When.
    pub imported_at: DateTime<Utc>,
    /// Since when it is in force, if it is.
    pub in_force_since: Option<DateTime<Utc>>,
}

/// A rate that holds at an instant.
#[derive(Clone, Debug)]
pub struct RateRow {
    /// From when on it holds.
    pub from: DateTime<Utc>,
    /// Until when.
    pub to: DateTime<Utc>,
    /// What rollups say of it.
    pub rate_id: i32,
    /// For which requests.
    pub tier: String,
    /// The longest prompt that is short.
    pub threshold: Option<i64>,
    /// The prices.
    pub low: ClassPrices,
    /// The highest that they may have been.
    pub high: ClassPrices,
    /// Where they were found.
    pub evidence: String,
}

/// When which rates hold for what is sold.
pub type Timelines = HashMap<String, Vec<Held>>;

/// Waits for a lock and holds it until the transaction ends.
pub async fn lock(tx: &mut Tx, key: i64) -> Result<(), Problem> {
    sqlx::query_file!("src/features/pricing/lock.sql", key).execute(tx).await?;
    Ok(())
}

/// Begins a book and returns its number. The caller holds the lock of the imports.
pub async fn insert_book(
    tx: &mut Tx,
    hash: &Hash,
    dated: NaiveDate,
    reason: &str,
    actor: Actor,
) -> Result<i32, Problem> {
    let (hash, actor) = (hash.as_slice(), actor.as_str());
    let query = sqlx::query_file_scalar!("src/features/pricing/insert_book.sql", hash, dated, reason, actor);
    Ok(query.fetch_one(tx).await?)
}

/// Writes everything that a book says, and seals it.
pub async fn fill_book(tx: &mut Tx, version: i32, listing: &Listing) -> Result<(), Problem> {
    insert_rates(tx, &listing.rates).await?;
    insert_spans(tx, version, &listing.spans).await?;
    insert_names(tx, version, &listing.names).await?;
    seal_book(tx, version).await
}

async fn insert_rates(tx: &mut Tx, rates: &[ListedRate]) -> Result<(), Problem> {
    let hashes: Vec<&[u8]> = rates.iter().map(|rate| rate.hash.as_slice()).collect();
    let providers: Vec<&str> = rates.iter().map(|rate| rate.provider.as_str()).collect();
    let skus: Vec<&str> = rates.iter().map(|rate| rate.sku.as_str()).collect();
    let tiers: Vec<&str> = rates.iter().map(|rate| rate.tier.as_str()).collect();
    let thresholds: Vec<Option<i64>> = rates.iter().map(|rate| rate.threshold).collect();
    let evidence: Vec<&str> = rates.iter().map(|rate| rate.evidence.as_str()).collect();
    let [input, cache_read, brief_write, long_write, output] = columns(rates, |rate| rate.low);
    let [high_input, high_cache_read, high_brief_write, high_long_write, high_output] =
        columns(rates, |rate| rate.high);
    sqlx::query_file!(
        "src/features/pricing/insert_rates.sql",
        &hashes as &[&[u8]],
        &providers as &[&str],
        &skus as &[&str],
        &tiers as &[&str],
        &input as &[Option<i64>],
        &cache_read as &[Option<i64>],
        &brief_write as &[Option<i64>],
        &long_write as &[Option<i64>],
        &output as &[Option<i64>],
        &high_input as &[Option<i64>],
        &high_cache_read as &[Option<i64>],
        &high_brief_write as &[Option<i64>],
        &high_long_write as &[Option<i64>],
        &high_output as &[Option<i64>],
        &thresholds as &[Option<i64>],
        &evidence as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

fn columns(rates: &[ListedRate], prices: impl Fn(&ListedRate) -> ClassPrices) -> [Vec<Option<i64>>; 5] {
    std::array::from_fn(|place| rates.iter().map(|rate| prices(rate).get(place).copied().flatten()).collect())
}

async fn insert_spans(tx: &mut Tx, version: i32, spans: &[PriceSpan]) -> Result<(), Problem> {
    let skus: Vec<&str> = spans.iter().map(|span| span.sku.as_str()).collect();
    let from_hours: Vec<DateTime<Utc>> = spans.iter().map(|span| span.from).collect();
    let to_hours: Vec<DateTime<Utc>> = spans.iter().map(|span| span.to).collect();
    let thresholds: Vec<Option<i64>> = spans.iter().map(|span| span.threshold).collect();
    let [short, long, range]: [Vec<&[u8]>; 3] =
        [0, 1, 2].map(|tier| spans.iter().filter_map(|span| span.rates.get(tier)).map(Hash::as_slice).collect());
    sqlx::query_file!(
        "src/features/pricing/insert_spans.sql",
        version,
        &skus as &[&str],
        &from_hours,
        &to_hours,
        &thresholds as &[Option<i64>],
        &short as &[&[u8]],
        &long as &[&[u8]],
        &range as &[&[u8]],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_names(tx: &mut Tx, version: i32, names: &[PriceName]) -> Result<(), Problem> {
    let sources: Vec<&str> = names.iter().map(|name| name.source.as_str()).collect();
    let spellings: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let skus: Vec<&str> = names.iter().map(|name| name.sku.as_str()).collect();
    let rules: Vec<&str> = names.iter().map(|name| name.rule.as_str()).collect();
    sqlx::query_file!(
        "src/features/pricing/insert_names.sql",
        version,
        &sources as &[&str],
        &spellings as &[&str],
        &skus as &[&str],
        &rules as &[&str],
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn seal_book(tx: &mut Tx, version: i32) -> Result<(), Problem> {
    sqlx::query_file!("src/features/pricing/seal_book.sql", version).execute(tx).await?;
    Ok(())
}

/// The sealed books, the newest first. Access: anyone.
pub async fn list_books(tx: &mut Tx) -> Result<Vec<BookRow>, Problem> {
    Ok(sqlx::query_file_as!(BookRow, "src/features/pricing/list_books.sql").fetch_all(tx).await?)
}

/// Every span of a book.
pub async fn book_spans(tx: &mut Tx, version: i32) -> Result<Timelines, Problem> {
    let rows = sqlx::query_file!("src/features/pricing/book_spans.sql", version).fetch_all(tx).await?;
    let mut timelines = Timelines::new();
    for row in rows {
        let rates = [stored(row.short)?, stored(row.long)?, stored(row.range)?];
        timelines.entry(row.sku).or_default().push((row.from_hour, row.to_hour, rates));
    }
    Ok(timelines)
}

fn stored(hash: Vec<u8>) -> Result<Hash, Problem> {
    hash.try_into().map_err(|_wrong| Problem::internal("a hash in price.rate has another length"))
}

/// What a model stands for in a book, and by which rule.
pub async fn find_name(tx: &mut Tx, book: i32, source: &str, model: &str) -> Result<Option<(String, String)>, Problem> {
    let row = sqlx::query_file!("src/features/pricing/find_name.sql", book, source, model).fetch_optional(tx).await?;
    Ok(row.map(|row| (row.sku, row.rule)))
}

/// The rates that hold for what is sold at an instant.
pub async fn find_rates(tx: &mut Tx, book: i32, sku: &str, at: DateTime<Utc>) -> Result<Vec<RateRow>, Problem> {
    let rows = sqlx::query_file!("src/features/pricing/find_rates.sql", book, sku, at).fetch_all(tx).await?;
    let rates = rows.into_iter().map(|row| RateRow {
        from: row.from_hour,
        to: row.to_hour,
        rate_id: row.rate_id,
        tier: row.tier,
        threshold: row.threshold,
        low: [
            row.input_price,
            row.cache_read_price,
            row.cache_write_5m_price,
            row.cache_write_1h_price,
            row.output_price,
        ],
        high: [
            row.high_input_price,
            row.high_cache_read_price,
            row.high_cache_write_5m_price,
            row.high_cache_write_1h_price,
            row.high_output_price,
        ],
        evidence: row.evidence,
    });
    Ok(rates.collect())
}

/// Gives rollups the key with rates, unless they have it. The caller holds the fold lock.
pub async fn key_rollups_by_rate(tx: &mut Tx) -> Result<(), Problem> {
    if has_key_to_come(tx).await? {
        change_key(tx).await?;
    }
    Ok(())
}

async fn has_key_to_come(tx: &mut Tx) -> Result<bool, Problem> {
    Ok(sqlx::query_file_scalar!("src/features/pricing/has_key_to_come.sql").fetch_one(tx).await?)
}

async fn change_key(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/pricing/change_key.sql").execute(tx).await?;
    Ok(())
}

/// Puts a book in force. False where it is already.
pub async fn put_in_force(tx: &mut Tx, version: i32, now: DateTime<Utc>) -> Result<bool, Problem> {
    let put = sqlx::query_file!("src/features/pricing/put_in_force.sql", version, now).execute(tx).await?;
    Ok(put.rows_affected() > 0)
}

/// Puts no book in force.
pub async fn put_none_in_force(tx: &mut Tx) -> Result<(), Problem> {
    sqlx::query_file!("src/features/pricing/put_none_in_force.sql").execute(tx).await?;
    Ok(())
}
