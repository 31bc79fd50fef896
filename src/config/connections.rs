//! How many connections to PostgreSQL a process opens, and how many relays use them.

use super::values::{Database, VariableReader};
use super::variables::Raw;
use crate::embedded_postgres::MAX_CONNECTIONS;

/// How many connections each pool may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSizes {
    /// Trackers' posts: each connection has its own writer task, and two keep a disk busy.
    pub ingest: u32,
    /// Authentication and reads.
    pub read: u32,
    /// The relays and operators: `HALFHOUR_POOL_WORKER`, and one more for each relay beyond the first.
    pub worker: u32,
}

impl PoolSizes {
    /// All of them together.
    pub const fn total(self) -> u32 {
        self.ingest + self.read + self.worker
    }
}

/// Connections that a process has beside these pools: two by which processes wake each other, and two for readiness and the
/// switches. A probe of a database that does not answer comes for a while besides.
pub const OTHER_CONNECTIONS: u32 = 4;

/// What the private PostgreSQL admits to the pools: the rest is for the process's other connections, for commands that join
/// it, and for people who look.
const EMBEDDED_CONNECTIONS: u32 = MAX_CONNECTIONS - OTHER_CONNECTIONS - 8;

/// More relays than this have little to share out. Unasked there are fewer: each is a connection to PostgreSQL.
const MAX_RELAYS: u32 = 32;
const MAX_USUAL_RELAYS: u32 = 16;

/// Half of the processors: PostgreSQL folds, and it has other things to do.
fn usual_relays() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, |processors| processors.get() / 2);
    u32::try_from(processors).unwrap_or(MAX_USUAL_RELAYS).clamp(1, MAX_USUAL_RELAYS)
}

impl VariableReader {
    /// The sizes of the pools, and how many relays there are.
    pub(super) fn connections(&mut self, raw: &Raw, database: &Database) -> (PoolSizes, u32) {
        let mut pool_sizes = PoolSizes {
            ingest: self.number("HALFHOUR_POOL_INGEST", raw.halfhour_pool_ingest.clone(), 2, 1..=16),
            read: self.number("HALFHOUR_POOL_READ", raw.halfhour_pool_read.clone(), 4, 1..=200),
            worker: self.number("HALFHOUR_POOL_WORKER", raw.halfhour_pool_worker.clone(), 4, 2..=50),
        };
        let is_embedded = matches!(database, Database::Embedded);
        let room = if is_embedded { EMBEDDED_CONNECTIONS.saturating_sub(pool_sizes.total()) } else { u32::MAX - 1 };
        let relays =
            self.number("HALFHOUR_RELAYS", raw.halfhour_relays.clone(), usual_relays().min(room + 1), 1..=MAX_RELAYS);
        pool_sizes.worker += relays - 1;
        let connections = pool_sizes.total();
        if is_embedded && connections > EMBEDDED_CONNECTIONS {
            let what = format!(
                "and HALFHOUR_POOL_READ, HALFHOUR_POOL_WORKER, with HALFHOUR_RELAYS, may have {EMBEDDED_CONNECTIONS} \
                 connections together on the private PostgreSQL, not {connections}; lower them, or set DATABASE_URL"
            );
            self.fault("HALFHOUR_POOL_INGEST", what);
        }
        (pool_sizes, relays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read;

    #[test]
    fn the_private_database_has_only_so_many_connections() {
        let pools = [("HALFHOUR_POOL_READ", "100")];
        assert!(read(&pools).unwrap_err().to_string().contains("HALFHOUR_POOL_READ"));
        let external = [("DATABASE_URL", "postgres://h/db"), ("HALFHOUR_SECRET", &"s".repeat(32)), pools[0]];
        assert!(read(&external).is_ok());
    }

    #[test]
    fn each_relay_beyond_the_first_has_a_connection_more_and_none_too_many_is_started_unasked() {
        let relays =
            |variables: &[(&str, &str)]| read(variables).map(|config| (config.relays, config.pool_sizes.worker));
        assert_eq!(relays(&[("HALFHOUR_RELAYS", "1")]), Ok((1, 4)));
        assert_eq!(relays(&[("HALFHOUR_RELAYS", "3"), ("HALFHOUR_POOL_WORKER", "2")]), Ok((3, 4)));
        let (usual, worker) = relays(&[]).unwrap();
        assert!((1..=MAX_USUAL_RELAYS).contains(&usual) && worker == 3 + usual, "{usual} {worker}");
        let full = ("HALFHOUR_POOL_READ", "42");
        assert_eq!(relays(&[full]), Ok((1, 4)), "all that the private PostgreSQL admits");
        let faults = relays(&[full, ("HALFHOUR_RELAYS", "2")]).unwrap_err().to_string();
        assert!(faults.contains("HALFHOUR_RELAYS, may have 48 connections"), "{faults}");
        for text in ["0", "33", "many"] {
            assert!(relays(&[("HALFHOUR_RELAYS", text)]).unwrap_err().to_string().contains("HALFHOUR_RELAYS must"));
        }
    }
}
