//! Places in the log of a database: how far the primary had come, and how far a standby has followed.
//!
//! They are asked in the simple protocol, in one round trip with the statement that opens or ends a snapshot.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::fallback::Fallback;

/// Asked of the primary behind the statements of a snapshot: how far its log has come, and nothing where it is itself in
/// recovery. Whatever that snapshot has seen and whoever committed it waited for the disk, the log has it before this place.
/// The name of the log's file begins with the timeline.
pub(super) const MARK: &str = "select null::text as database, \
    case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_flush_lsn()) end as log_file, \
    case when not pg_is_in_recovery() then pg_current_wal_flush_lsn()::text end as place";
/// The same by a look, and which database that is: this reads a file.
pub(super) const FIRST_MARK: &str = "select \
    (select c.system_identifier from pg_control_system() c) || '/' || current_database() as database, \
    case when not pg_is_in_recovery() then pg_walfile_name(pg_current_wal_flush_lsn()) end as log_file, \
    case when not pg_is_in_recovery() then pg_current_wal_flush_lsn()::text end as place";
/// Asked of a standby before a snapshot: which database it is, and how much of the log it has replayed. The snapshot sees at
/// least that much.
pub(super) const POSITION: &str = "select \
    (select c.system_identifier from pg_control_system() c) || '/' || current_database() as database, \
    pg_is_in_recovery()::text as is_standby, null::text as timeline, pg_last_wal_replay_lsn()::text as place";
/// The same by a look, and which timeline is replayed. A standby writes that down with the next page or restart point that
/// reaches the disk, and the greater of both is the newer.
pub(super) const FIRST_POSITION: &str = "select \
    (select c.system_identifier from pg_control_system() c) || '/' || current_database() as database, \
    pg_is_in_recovery()::text as is_standby, greatest((select c.timeline_id from pg_control_checkpoint() c), \
    (select c.min_recovery_end_timeline from pg_control_recovery() c))::text as timeline, \
    pg_last_wal_replay_lsn()::text as place";

/// What a look has found out of the primary and of its standby, and does not change from read to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Of which cluster the primary is, and which database in it.
    pub(super) database: String,
    /// The history that the standby follows.
    pub(super) timeline: u32,
}

/// How far the log of the primary had come when a snapshot of it ended. A standby that has replayed that much sees
/// whatever the snapshot saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Of which cluster, and which database in it; only looks ask that.
    pub(super) database: Option<String>,
    /// Which history of that cluster: each promotion begins a new one.
    pub(super) timeline: u32,
    /// The place, in bytes.
    pub(super) place: u64,
}

/// How far a server has followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// Of which cluster, and which database in it.
    pub(super) database: String,
    /// Whether it follows anybody.
    pub(super) is_standby: bool,
    /// The history that it follows; only looks ask that.
    pub(super) timeline: Option<u32>,
    /// What it has replayed, in bytes of the log.
    pub(super) place: u64,
}

impl Mark {
    /// What the primary said; `None` where it is in recovery itself, or cannot be understood.
    pub(super) fn of_row(row: &PgRow) -> Option<Self> {
        let text = |name| row.try_get::<Option<String>, _>(name).ok().flatten();
        let timeline = text("log_file").and_then(|name| u32::from_str_radix(name.get(..8)?, 16).ok())?;
        Some(Self { database: text("database"), timeline, place: place(&text("place")?)? })
    }
}

impl Position {
    /// What a standby said; `None` where it cannot be understood.
    pub(super) fn of_row(row: &PgRow) -> Option<Self> {
        let text = |name| row.try_get::<Option<String>, _>(name).ok().flatten();
        let is_standby = text("is_standby")? == "true";
        // A server that never was a standby has replayed nothing.
        let place = text("place").and_then(|text| place(&text)).unwrap_or_default();
        let timeline = text("timeline").and_then(|text| text.parse().ok());
        Some(Self { database: text("database")?, is_standby, timeline, place })
    }

    /// Whether a snapshot that opens behind this position sees everything before the mark. What neither says is `known`.
    /// Errors: why it may not.
    pub(super) fn has_reached(&self, mark: &Mark, known: &Known) -> Result<(), Fallback> {
        if self.database != *mark.database.as_ref().unwrap_or(&known.database) {
            return Err(Fallback::OtherDatabase);
        }
        if !self.is_standby {
            return Err(Fallback::Promoted);
        }
        if self.timeline.unwrap_or(known.timeline) != mark.timeline {
            return Err(Fallback::OtherTimeline);
        }
        if self.place < mark.place { Err(Fallback::Behind) } else { Ok(()) }
    }
}

/// A place as PostgreSQL writes it: two halves in hexadecimal.
fn place(text: &str) -> Option<u64> {
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

    #[test]
    fn only_a_standby_of_the_same_database_and_timeline_that_has_come_so_far_may_answer() {
        let known = Known { database: "7/halfhour".to_owned(), timeline: 2 };
        let mark = Mark { database: None, timeline: 2, place: 100 };
        let reached = Position { database: known.database.clone(), is_standby: true, timeline: None, place: 100 };
        assert_eq!(reached.has_reached(&mark, &known), Ok(()));
        for (position, why_not) in [
            (Position { place: 99, ..reached.clone() }, Fallback::Behind),
            (Position { is_standby: false, place: 200, ..reached.clone() }, Fallback::Promoted),
            (Position { timeline: Some(3), place: 200, ..reached.clone() }, Fallback::OtherTimeline),
            (Position { timeline: Some(1), ..reached.clone() }, Fallback::OtherTimeline),
            (Position { database: "8/halfhour".to_owned(), ..reached.clone() }, Fallback::OtherDatabase),
            (Position { database: "7/postgres".to_owned(), ..reached.clone() }, Fallback::OtherDatabase),
        ] {
            assert_eq!(position.has_reached(&mark, &known), Err(why_not), "{position:?}");
        }
        let later = Mark { timeline: 3, ..mark.clone() };
        assert_eq!(reached.has_reached(&later, &known), Err(Fallback::OtherTimeline), "the primary is another one");
        let other = Mark { database: Some("9/halfhour".to_owned()), ..mark };
        assert_eq!(reached.has_reached(&other, &known), Err(Fallback::OtherDatabase), "a look says so first");
        assert_eq!(reached.has_reached(&later, &Known::default()), Err(Fallback::OtherDatabase), "nobody has looked");
    }
}
