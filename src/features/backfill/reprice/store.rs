//! The SQL of reprices.

use uuid::Uuid;

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// Whether there is a book of this number, and which one is in force.
pub async fn find_book(tx: &mut Tx, book: i32) -> Result<(bool, Option<i32>), Problem> {
    let row = sqlx::query_file!("src/features/backfill/reprice/find_book.sql", book).fetch_one(tx).await?;
    Ok((row.is_known, row.in_force))
}

/// Keeps what a plan has found.
pub async fn complete_reprice(
    tx: &mut Tx,
    job_id: Uuid,
    former_book: Option<i32>,
    diff: &serde_json::Value,
) -> Result<(), Problem> {
    sqlx::query_file!("src/features/backfill/reprice/complete_reprice.sql", job_id, former_book, diff)
        .execute(tx)
        .await?;
    Ok(())
}
