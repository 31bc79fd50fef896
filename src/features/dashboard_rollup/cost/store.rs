//! The SQL of rates.

use chrono::NaiveDate;

use super::rate::{Prices, Rate};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// These rates, by their numbers.
pub async fn rates(tx: &mut Tx, rate_ids: &[i32]) -> Result<Vec<(i32, Rate)>, Problem> {
    let rows = sqlx::query_file!("src/features/dashboard_rollup/cost/rates.sql", rate_ids).fetch_all(tx).await?;
    let rates = rows.into_iter().map(|row| {
        let low = [
            row.input_price,
            row.cache_read_price,
            row.cache_write_5m_price,
            row.cache_write_1h_price,
            row.output_price,
        ];
        let high = [
            row.high_input_price,
            row.high_cache_read_price,
            row.high_cache_write_5m_price,
            row.high_cache_write_1h_price,
            row.high_output_price,
        ];
        let [low, high] = [low, high].map(|prices: [Option<i64>; 5]| prices.map(price)) as [Prices; 2];
        (row.rate_id, Rate { sku: row.sku, tier: row.tier, evidence: row.evidence, low, high })
    });
    Ok(rates.collect())
}

/// Of which day the prices of a book are.
pub async fn book_day(tx: &mut Tx, book: i32) -> Result<NaiveDate, Problem> {
    let query = sqlx::query_file_scalar!("src/features/dashboard_rollup/cost/book_day.sql", book);
    Ok(query.fetch_one(tx).await?)
}

/// No price is negative, as a CHECK sees to.
fn price(micros: Option<i64>) -> Option<u64> {
    micros.map(i64::unsigned_abs)
}
