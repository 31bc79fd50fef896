//! How far a standby has followed, and whether that is enough.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::fallback::Fallback;
use super::mark::{Mark, place};

/// Asked of a standby before a snapshot, in the same round trip: which database it is, which timeline it replays, and how much
/// of the log it has replayed. The snapshot sees at least that much. A standby writes the timeline down with the next page or
/// restart point that reaches the disk, and the greater of both is the newer.
pub(super) const POSITION: &str = "select \
    (select c.system_identifier from pg_control_system() c) || '/' || current_database() as database, \
    pg_is_in_recovery() as is_standby, \
    greatest((select c.timeline_id from pg_control_checkpoint() c), \
        (select c.min_recovery_end_timeline from pg_control_recovery() c)) as timeline, \
    pg_last_wal_replay_lsn()::text as place";

/// How far a server has followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Of which cluster, and which database in it.
    pub(super) database: String,
    /// Whether it follows anybody.
    pub(super) is_standby: bool,
    /// The history that it follows.
    pub(super) timeline: u32,
    /// What it has replayed, in bytes of the log.
    pub(super) place: u64,
}

impl Position {
    /// What a server said; `None` where it cannot be understood.
    pub(super) fn of_row(row: &PgRow) -> Option<Self> {
        let replayed: Option<String> = row.try_get("place").ok()?;
        Some(Self {
            database: row.try_get("database").ok()?,
            is_standby: row.try_get("is_standby").ok()?,
            timeline: row.try_get::<i32, _>("timeline").ok()?.try_into().ok()?,
            // A server that never was a standby has replayed nothing.
            place: replayed.and_then(|text| place(&text)).unwrap_or_default(),
        })
    }

    /// Whether a snapshot that opens behind this position sees everything before the mark. Errors: why it may not.
    pub(super) fn has_reached(&self, mark: &Mark) -> Result<(), Fallback> {
        if self.database != mark.database {
            return Err(Fallback::OtherDatabase);
        }
        if !self.is_standby {
            return Err(Fallback::Promoted);
        }
        if self.timeline != mark.timeline {
            return Err(Fallback::OtherTimeline);
        }
        if self.place < mark.place { Err(Fallback::Behind) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn only_a_standby_of_the_same_database_and_timeline_that_has_come_so_far_may_answer() {
        let database = "7/halfhour".to_owned();
        let (at, shown) = (DateTime::UNIX_EPOCH, "5:5:".to_owned());
        let mark = Mark { at, shown, database: database.clone(), timeline: 2, place: 100 };
        let reached = Position { database, is_standby: true, timeline: 2, place: 100 };
        assert_eq!(reached.has_reached(&mark), Ok(()));
        for (position, why_not) in [
            (Position { place: 99, ..reached.clone() }, Fallback::Behind),
            (Position { is_standby: false, place: 200, ..reached.clone() }, Fallback::Promoted),
            (Position { timeline: 3, place: 200, ..reached.clone() }, Fallback::OtherTimeline),
            (Position { timeline: 1, ..reached.clone() }, Fallback::OtherTimeline),
            (Position { database: "8/halfhour".to_owned(), ..reached.clone() }, Fallback::OtherDatabase),
            (Position { database: "7/postgres".to_owned(), ..reached.clone() }, Fallback::OtherDatabase),
        ] {
            assert_eq!(position.has_reached(&mark), Err(why_not), "{position:?}");
        }
        let later = Mark { timeline: 3, ..mark.clone() };
        assert_eq!(reached.has_reached(&later), Err(Fallback::OtherTimeline), "the primary is another one");
        assert_eq!(later.is_of_the_same(&mark), Err(Fallback::OtherTimeline));
        assert_eq!(Mark { place: 101, ..mark.clone() }.is_of_the_same(&mark), Ok(()));
    }
}
