//! What operators are told of the price book that is in force.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// Prices change every few weeks. A book that is older than this is old.
const OLD_AFTER_DAYS: i64 = 60;

/// The price book that is in force.
#[derive(Clone, Copy, Debug)]
pub struct BookInForce {
    /// Its number.
    pub version: i32,
    /// As of which day its prices are known.
    pub dated: NaiveDate,
    /// Since when it is in force.
    pub since: DateTime<Utc>,
}

/// The price book that is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BookInForceReply {
    /// Its number.
    #[schema(example = 1)]
    book: i32,
    /// As of which day its prices are known.
    dated: NaiveDate,
    /// Since when it is in force.
    since: DateTime<Utc>,
    /// How many days old its prices are.
    age_days: i64,
    /// What to do where they are old; null where they are not.
    warning: Option<String>,
}

impl BookInForceReply {
    pub(super) fn new(book: BookInForce, now: DateTime<Utc>) -> Self {
        let BookInForce { version, dated, since } = book;
        let age_days = now.date_naive().signed_duration_since(dated).num_days().max(0);
        let warning = (age_days > OLD_AFTER_DAYS).then(|| {
            format!(
                "The prices of book {version} are {age_days} days old. Import newer ones with `halfhour price import`."
            )
        });
        Self { book: version, dated, since, age_days, warning }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_is_old_on_its_sixty_first_day() {
        let since: DateTime<Utc> = "2026-11-28T12:00:00Z".parse().unwrap();
        let book = BookInForce { version: 3, dated: since.date_naive(), since };
        let after = |days| BookInForceReply::new(book, since + chrono::TimeDelta::days(days));
        assert_eq!((after(60).age_days, after(60).warning), (60, None));
        assert!(after(61).warning.unwrap().contains("book 3 are 61 days old"));
        assert_eq!((after(-3).age_days, after(-3).warning), (0, None), "a book may be dated ahead");
    }
}
