//! What the primary had come to at a moment: what a standby has to have replayed, and may show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use tokio::sync::Mutex;

use super::fallback::Fallback;
use crate::kernel::call::RequestContext;
use crate::kernel::database::pool::Pool;

/// Asked of the primary, and answered with nulls where that is in recovery itself. The name of a log's file begins with the
/// timeline. The order matters: what was acknowledged before `at` is in `shown`, and what is in `shown` is in the log before
/// `place`, because a commit is written to the disk before anybody sees it.
const MARK: &str = "select transaction_timestamp() as at, pg_current_snapshot()::text as shown, \
    (select c.system_identifier from pg_control_system() c) || '/' || current_database() as database, \
    case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_flush_lsn()) end as log_file, \
    case when not pg_is_in_recovery() then pg_current_wal_flush_lsn()::text end as place";
/// The primary is asked this often at most, however many read. A read waits for half of it in the mean.
const PAUSE: Duration = Duration::from_millis(5);
/// A mark may be waited for this long, and may take as long.
const LIMIT: Duration = Duration::from_millis(300);

/// What the primary had come to at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The moment, by the primary's clock. What was acknowledged before it is in the log before `place`.
    pub(super) at: DateTime<Utc>,
    /// The transactions that the primary showed, as `pg_current_snapshot()` writes them.
    pub(super) shown: String,
    /// Of which cluster, and which database in it.
    pub(super) database: String,
    /// Which history of that cluster: each promotion begins a new one.
    pub(super) timeline: u32,
    /// How far the log had been written to the disk, in bytes.
    pub(super) place: u64,
}

impl Mark {
    /// What the primary said; `None` where it is in recovery itself, or cannot be understood.
    fn of_row(row: &PgRow) -> Option<Self> {
        let text = |name| row.try_get::<Option<String>, _>(name).ok().flatten();
        Some(Self {
            at: row.try_get("at").ok()?,
            shown: text("shown")?,
            database: text("database")?,
            timeline: u32::from_str_radix(text("log_file")?.get(..8)?, 16).ok()?,
            place: place(&text("place")?)?,
        })
    }

    /// Whether both are of one primary, so that their transactions can be compared. Errors: it is another one since.
    pub(super) fn is_of_the_same(&self, other: &Self) -> Result<(), Fallback> {
        let is_same = self.database == other.database && self.timeline == other.timeline;
        if is_same { Ok(()) } else { Err(Fallback::OtherTimeline) }
    }
}

/// A mark that was taken, or why not.
#[derive(Debug)]
struct Taken {
    asked_at: Instant,
    mark: Result<Arc<Mark>, Fallback>,
}

/// Takes marks for reads: one at a time, and one for all who wait for the next.
#[derive(Debug)]
pub(super) struct Marks {
    primary: Pool,
    /// The last one.
    last: Mutex<Option<Taken>>,
}

impl Marks {
    /// Taken through this pool.
    pub(super) fn new(primary: Pool) -> Self {
        Self { primary, last: Mutex::default() }
    }

    /// A mark of a moment that is still to come. Errors: [`Fallback::NoMark`].
    pub(super) async fn next(&self) -> Result<Arc<Mark>, Fallback> {
        let began = Instant::now();
        let Ok(mut last) = tokio::time::timeout(LIMIT, self.last.lock()).await else { return Err(Fallback::NoMark) };
        if let Some(Taken { asked_at, mark }) = &*last {
            // Who held the lock before asked while this one waited.
            if *asked_at >= began {
                return mark.clone();
            }
            tokio::time::sleep_until((*asked_at + PAUSE).into()).await;
        }
        let asked_at = Instant::now();
        let mark = self.take().await.map(Arc::new);
        *last = Some(Taken { asked_at, mark: mark.clone() });
        mark
    }

    async fn take(&self) -> Result<Mark, Fallback> {
        let context = RequestContext::internal(3 * LIMIT);
        let row = self.primary.ask(&context, MARK, LIMIT).await.map_err(|_| Fallback::NoMark)?;
        row.as_ref().and_then(Mark::of_row).ok_or(Fallback::NoMark)
    }
}

/// A place in the log as PostgreSQL writes it: two halves in hexadecimal.
pub(super) fn place(text: &str) -> Option<u64> {
    let (high, low) = text.split_once('/')?;
    let half = |digits| u32::from_str_radix(digits, 16).ok().map(u64::from);
    Some(half(high)? << 32 | half(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_compared_as_numbers_and_not_as_texts() {
        assert_eq!(place("0/0"), Some(0));
        assert_eq!(place("A/9000028"), Some(0xA_0900_0028));
        assert!(place("10/0") > place("9/FFFFFFFF"));
        for text in ["", "/", "0", "0/", "g/0", "0/100000000"] {
            assert_eq!(place(text), None, "{text}");
        }
    }
}
