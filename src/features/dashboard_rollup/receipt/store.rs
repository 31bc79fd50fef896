//! The SQL of receipts.

use chrono::{DateTime, Utc};

use crate::features::dashboard_rollup::cost::RatedSums;
use crate::features::dashboard_rollup::range::Scope;
use crate::features::dashboard_rollup::store::{Sum, sums_of_row};
use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// A tool, and a model as it reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The tool.
    pub source: String,
    /// The model.
    pub model: String,
}

/// How a model was matched.
#[derive(Clone, Debug)]
pub struct Match {
    /// What it stands for.
    pub sku: Option<String>,
    /// By which rule.
    pub rule: Option<String>,
    /// From when on its rate holds.
    pub valid_from: Option<DateTime<Utc>>,
    /// Until when.
    pub valid_to: Option<DateTime<Utc>>,
}

macro_rules! cost_sums {
    ($rows:expr) => {
        $rows.into_iter().map(|row| {
            let sums = sums_of_row!(row);
            RatedSums { key: Pair { source: row.source, model: row.model }, rate_id: row.rate_id, sums }
        })
    };
}

/// The sums of the scope by source, model and rate: the first `limit` of them, ascending.
pub async fn cost_lines(tx: &mut Tx, scope: &Scope<'_>, limit: i64) -> Result<Vec<RatedSums<Pair>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/receipt/cost_lines.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(cost_sums!(rows).collect())
}

/// The same of the buckets, by rate of a book.
pub async fn bucket_cost_lines(
    tx: &mut Tx,
    scope: &Scope<'_>,
    book: Option<i32>,
    limit: i64,
) -> Result<Vec<RatedSums<Pair>>, Problem> {
    let rows = sqlx::query_file!(
        "src/features/dashboard_rollup/receipt/bucket_cost_lines.sql",
        scope.user_id,
        scope.days.from,
        scope.days.to,
        &scope.filters.source_names() as &[&str],
        &scope.filters.model_names() as &[&str],
        &scope.filters.devices,
        scope.time_zone,
        book,
        limit,
    )
    .fetch_all(tx)
    .await?;
    Ok(cost_sums!(rows).collect())
}

/// How each of these was matched in a book, in their order.
pub async fn matches(tx: &mut Tx, book: i32, lines: &[RatedSums<Pair>]) -> Result<Vec<Match>, Problem> {
    let sources: Vec<&str> = lines.iter().map(|line| line.key.source.as_str()).collect();
    let models: Vec<&str> = lines.iter().map(|line| line.key.model.as_str()).collect();
    let rate_ids: Vec<i32> = lines.iter().map(|line| line.rate_id).collect();
    let query = sqlx::query_file_as!(
        Match,
        "src/features/dashboard_rollup/receipt/matches.sql",
        book,
        &sources as &[&str],
        &models as &[&str],
        &rate_ids,
    );
    Ok(query.fetch_all(tx).await?)
}
