//! The words of a reprice: which price book is put in force, and what that changes.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::kernel::database::Tx;
use crate::kernel::problem::Problem;

/// What a reprice does.
#[derive(Clone, Debug)]
pub struct Repricing {
    /// The book that is put in force.
    pub book: i32,
    /// The book that was in force when it was planned; `None` where there was none.
    pub former_book: Option<i32>,
    /// What that changes; `None` until it is planned.
    pub diff: Option<PriceDiff>,
}

impl Repricing {
    /// The same without the lines of its diff.
    #[must_use]
    pub fn brief(self) -> Self {
        Self { diff: self.diff.map(PriceDiff::brief), ..self }
    }

    /// The book that is in force once the phase has ended.
    pub fn wanted(&self, is_taken_back: bool) -> Option<i32> {
        if is_taken_back { self.former_book } else { Some(self.book) }
    }
}

/// What another book changes, over all buckets that there were when it was planned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceDiff {
    /// Of all that changes.
    pub totals: PriceEffect,
    /// By what is sold and by UTC month, in this order: as many as are listed.
    pub lines: Vec<PriceLine>,
    /// How many more lines there are.
    pub lines_left_out: usize,
}

impl PriceDiff {
    /// The same without its lines.
    #[must_use]
    pub fn brief(self) -> Self {
        Self { lines_left_out: self.lines_left_out + self.lines.len(), lines: Vec::new(), ..self }
    }
}

/// What changes of something that is sold, in a UTC month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceLine {
    /// What is sold, in the new book where it names the models, else in the former one.
    pub sku: String,
    /// The month, as `2026-11`.
    pub month: String,
    /// What changes of it.
    #[serde(flatten)]
    pub effect: PriceEffect,
}

/// What changes. Numbers that may be larger than a reader's integers are decimals in texts, exact to the last digit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceEffect {
    /// Tokens of the buckets whose rate becomes another one.
    pub tokens: String,
    /// What they cost in the former book, at least; `None` where none has a price.
    pub usd_before: Option<String>,
    /// The same at most.
    pub usd_high_before: Option<String>,
    /// What they will cost, at least.
    pub usd_after: Option<String>,
    /// The same at most.
    pub usd_high_after: Option<String>,
    /// Tokens that get a price and had none.
    pub newly_priced_tokens: String,
    /// Tokens that had a price and lose it.
    pub newly_unpriced_tokens: String,
    /// How many users that is about.
    pub users: i64,
    /// How many UTC days of users.
    pub user_days: i64,
}

/// What other slices do for a reprice, each in the caller's transaction: the composition root hands it over.
#[derive(Clone)]
pub struct PriceDoors {
    compare: Arc<Compare>,
    replace: Arc<Replace>,
}

type Compare = dyn for<'t> Fn(&'t mut Tx, Option<i32>, i32) -> Compared<'t> + Send + Sync;
type Compared<'t> = BoxFuture<'t, Result<PriceDiff, Problem>>;
type Replace = dyn for<'t> Fn(&'t mut Tx, Option<i32>, Option<i32>) -> Replaced<'t> + Send + Sync;
type Replaced<'t> = BoxFuture<'t, Result<bool, Problem>>;

impl PriceDoors {
    /// From a function that says what a book changes against a former one, and one that puts a book, or none, in force in
    /// place of another one. That one says false, and does nothing, where another one is in force.
    pub fn new(
        compare: impl for<'t> Fn(&'t mut Tx, Option<i32>, i32) -> Compared<'t> + Send + Sync + 'static,
        replace: impl for<'t> Fn(&'t mut Tx, Option<i32>, Option<i32>) -> Replaced<'t> + Send + Sync + 'static,
    ) -> Self {
        Self { compare: Arc::new(compare), replace: Arc::new(replace) }
    }

    /// What `book` changes against the former one. Errors: the database's.
    pub(super) async fn compare(&self, tx: &mut Tx, former: Option<i32>, book: i32) -> Result<PriceDiff, Problem> {
        (self.compare)(tx, former, book).await
    }

    /// Puts `book` in force in place of `former`. False where another one than that is in force. Errors: the database's.
    pub(super) async fn replace(&self, tx: &mut Tx, former: Option<i32>, book: Option<i32>) -> Result<bool, Problem> {
        (self.replace)(tx, former, book).await
    }
}

impl fmt::Debug for PriceDoors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PriceDoors")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_without_its_lines_says_how_many_there_are() {
        let line = PriceLine { sku: "a/b".to_owned(), month: "2026-11".to_owned(), effect: PriceEffect::default() };
        let diff = PriceDiff { lines: vec![line; 3], lines_left_out: 4, ..PriceDiff::default() };
        let brief = diff.brief();
        assert_eq!((brief.lines.len(), brief.lines_left_out), (0, 7));
        let stored = serde_json::to_value(&brief).unwrap();
        assert_eq!(serde_json::from_value::<PriceDiff>(stored).unwrap(), brief);
    }
}
