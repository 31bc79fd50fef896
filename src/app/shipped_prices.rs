//! The price book that a release brings. A server that brings its own PostgreSQL puts it in force at its first start;
//! elsewhere an operator decides.

use std::time::Duration;

use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;

use crate::features::dashboard_rollup::FOLD_LOCK;
use crate::features::pricing::{Books, NewBook};
use crate::kernel::call::RequestContext;
use crate::kernel::clock::Clock;
use crate::kernel::database::Pool;
use crate::kernel::problem::Problem;

const PRICES: &str = include_str!("price_book_1/prices.csv");
const VARIANTS: &str = include_str!("price_book_1/variants.csv");
/// As of which day these prices are known: year, month, day.
const DATED: (i32, u32, u32) = (2026, 11, 28);
const REASON: &str = "the prices that this release brings";

/// One attempt may take this long, and this is the pause before the next one.
const LIMIT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(10);

/// The book of this release. It takes a moment to make. Errors: none, unless its files are broken.
pub fn shipped_book() -> Result<NewBook, Problem> {
    let (year, month, day) = DATED;
    let dated = NaiveDate::from_ymd_opt(year, month, day).ok_or_else(|| Problem::internal("no such day"))?;
    NewBook::read(dated, REASON.to_owned(), &[PRICES, VARIANTS])
}

/// The books, with what changes how rollups are folded.
pub fn books_with(workers: &Pool, clock: &Clock) -> Books {
    Books::new(workers.clone(), clock.clone(), FOLD_LOCK)
}

/// Imports the book, and puts it in force where none is, as soon as the database allows it. Only for a server that `brings`
/// its PostgreSQL.
pub async fn begin_prices(brings: bool, books: Books, stop: CancellationToken) {
    if !brings {
        return;
    }
    loop {
        let begun = async {
            let book = tokio::task::spawn_blocking(shipped_book).await.map_err(Problem::internal)??;
            books.begin_with(&RequestContext::internal(LIMIT), &book).await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            begun = begun => match begun {
                Ok(()) => return,
                Err(problem) => {
                    tracing::warn!(error = problem.source_chain(), "the prices of this release could not be imported");
                }
            },
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_of_this_release_breaks_no_rule() {
        if let Err(problem) = shipped_book() {
            panic!("{:?}", problem.violations());
        }
    }
}
