//! The SQL of coverage.

use chrono::NaiveDate;

use crate::features::dashboard_rollup::store::Sum;
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Tokens without a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// The tool.
    pub source: String,
    /// The model, as it reports it.
    pub model: String,
    /// How many, of all users.
    pub tokens: u128,
    /// Of how many users.
    pub users: i64,
}

/// The first `limit` pairs whose tokens fall under no rate.
pub async fn uncovered(tx: &mut Tx, limit: i64) -> Result<Vec<Uncovered>, Problem> {
    let rows = sqlx::query_file!("src/features/dashboard_rollup/coverage/uncovered.sql", limit).fetch_all(tx).await?;
    let uncovered = rows.into_iter().map(|row| Uncovered {
        source: row.source,
        model: row.model,
        tokens: row.tokens.0,
        users: row.users,
    });
    Ok(uncovered.collect())
}

/// How many tokens from a day on fall under no rate.
pub async fn unpriced_tokens(tx: &mut Tx, since: NaiveDate) -> Result<u128, Problem> {
    let query = sqlx::query_file!("src/features/dashboard_rollup/coverage/unpriced_tokens.sql", since);
    Ok(query.fetch_one(tx).await?.tokens.0)
}
