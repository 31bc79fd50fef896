//! How PostgreSQL is set, and whether it has the schema of this release.

use super::finding::Finding;
use crate::config::{Config, Database, OTHER_CONNECTIONS};
use crate::embedded_postgres::OLDEST_MAJOR;
use crate::kernel::database::condition::{DatabaseCondition, MigrationsState, ServerSettings};

/// PostgreSQL keeps so many for superusers, unless it is told otherwise.
const RESERVED_CONNECTIONS: i64 = 3;

/// It cannot be reached, and everything else waits for that.
pub fn not_reached(why: &str) -> Finding {
    Finding::failure(
        "database",
        format!("It cannot be reached: {why}."),
        "posts and reads are answered 503, and nothing else can be checked",
        "see that PostgreSQL runs, and that DATABASE_URL names it; a private one says why in postgres.log",
    )
}

pub fn findings(config: &Config, condition: &DatabaseCondition) -> [Finding; 5] {
    let DatabaseCondition { server, unsafe_roles, migrations } = condition;
    [version(server), durability(server), connections(config, server), roles(unsafe_roles), schema(migrations)]
}

fn version(server: &ServerSettings) -> Finding {
    const CHECK: &str = "database";
    let found = format!("PostgreSQL {} answers.", server.version);
    if u32::try_from(server.version_number / 10_000).is_ok_and(|major| major < OLDEST_MAJOR) {
        let means = "the migrations or some statements fail on it";
        return Finding::failure(CHECK, found, means, &format!("use PostgreSQL {OLDEST_MAJOR} or newer"));
    }
    Finding::ok(CHECK, found)
}

/// Whether the private PostgreSQL runs the programs that are on the disk. `installed` is their version, if they are there.
pub fn programs(server: &ServerSettings, installed: Option<&str>) -> Finding {
    const CHECK: &str = "programs";
    let running = &server.version;
    match installed {
        Some(installed) if installed == running => {
            Finding::ok(CHECK, format!("PostgreSQL {running} is on the disk, too."))
        }
        Some(installed) => Finding::warning(
            CHECK,
            format!("PostgreSQL {running} runs, and {installed} is on the disk."),
            "the server tries the new programs out and restarts PostgreSQL at a quiet moment, by itself",
            "wait, or restart the server; private_postgres in GET /v1/status says how far it is",
        ),
        None => Finding::failure(
            CHECK,
            format!("PostgreSQL {running} runs, and no programs of its major version are on the disk."),
            "it goes on, and cannot be started again without a download",
            "install the package of this major version once more, and do not restart the server before",
        ),
    }
}

fn durability(server: &ServerSettings) -> Finding {
    const CHECK: &str = "durability";
    let named = [("fsync", &server.fsync), ("full_page_writes", &server.full_page_writes)];
    let off: Vec<_> = named.into_iter().filter(|(_, value)| *value != "on").map(|(name, _)| name).collect();
    if !off.is_empty() {
        let verb = if off.len() == 1 { "is" } else { "are" };
        let off = off.join(" and ");
        return Finding::failure(
            CHECK,
            format!("{off} {verb} off."),
            "a crash of the machine can lose acknowledged buckets, or damage the database for good",
            &format!("set {off} to on in postgresql.conf and reload; then make a backup"),
        );
    }
    if server.synchronous_commit == "off" {
        let found = "fsync and full_page_writes are on; synchronous_commit is off.";
        let means = "halfhour switches it on for its own connections; what other programs commit may be lost";
        return Finding::warning(CHECK, found, means, "set synchronous_commit to on, unless you know why not");
    }
    Finding::ok(
        CHECK,
        format!("fsync and full_page_writes are on; synchronous_commit is {}.", server.synchronous_commit),
    )
}

fn connections(config: &Config, server: &ServerSettings) -> Finding {
    const CHECK: &str = "connections";
    let wanted = config.pool_sizes.total() + OTHER_CONNECTIONS;
    let admitted = i64::from(server.max_connections) - RESERVED_CONNECTIONS;
    let found =
        format!("A server process wants up to {wanted} connections; PostgreSQL admits {}.", server.max_connections);
    if i64::from(wanted) <= admitted {
        return Finding::ok(CHECK, found);
    }
    let advice = match config.database {
        Database::Embedded => "lower HALFHOUR_POOL_*, or set DATABASE_URL",
        Database::External(_) => "lower HALFHOUR_POOL_*, or raise max_connections and restart PostgreSQL",
    };
    Finding::warning(
        CHECK,
        found,
        "under load some requests are answered 503 overloaded or database_unavailable",
        advice,
    )
}

fn roles(unsafe_roles: &[String]) -> Finding {
    const CHECK: &str = "roles";
    if unsafe_roles.is_empty() {
        return Finding::ok(CHECK, "No working role bypasses row-level security.");
    }
    let names = unsafe_roles.join(", ");
    let advice = unsafe_roles.iter().map(|role| format!("alter role {role} nosuperuser nobypassrls;"));
    Finding::failure(
        CHECK,
        format!("{names} may see every user's rows."),
        "a bug could show one user's usage to another; no server starts like this",
        &advice.collect::<Vec<_>>().join(" "),
    )
}

fn schema(migrations: &MigrationsState) -> Finding {
    const CHECK: &str = "migrations";
    let MigrationsState { known, missing, unknown, changed, unfinished } = migrations;
    let list = |versions: &[i64]| versions.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    if let Some(version) = unfinished {
        let found = format!("Migration {version} was begun and not finished.");
        let means = "no server starts before it is finished";
        return Finding::failure(
            CHECK,
            found,
            means,
            "see in the migration's first lines what it makes, remove that, and migrate",
        );
    }
    if !changed.is_empty() {
        let found = format!("Migrations that were applied had another content than here: {}.", list(changed));
        let means = "this binary was not made from the release that migrated the database; no server starts";
        return Finding::failure(CHECK, found, means, "use a release, not a build with changed migrations");
    }
    if !unknown.is_empty() {
        let found = format!("The database has migrations that this release does not know: {}.", list(unknown));
        let means = "a newer release has migrated it, and this one refuses to start on it";
        return Finding::failure(CHECK, found, means, "use the newer release");
    }
    if !missing.is_empty() {
        let found = format!("{} of {known} migrations are not applied yet: {}.", missing.len(), list(missing));
        let means = "the next start applies them; what is in the database is not checked until then";
        return Finding::warning(CHECK, found, means, "back up, then `halfhour migrate`");
    }
    Finding::ok(CHECK, format!("All {known} are applied."))
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingState;
    use super::*;

    fn server() -> ServerSettings {
        let on = || "on".to_owned();
        ServerSettings {
            version: "17.2".to_owned(),
            version_number: 170_002,
            fsync: on(),
            full_page_writes: on(),
            synchronous_commit: on(),
            max_connections: 100,
        }
    }

    #[test]
    fn a_server_that_is_too_old_or_may_lose_commits_is_found() {
        assert_eq!([version(&server()), durability(&server())].map(|finding| finding.state), [FindingState::Ok; 2]);
        let old = ServerSettings { version_number: 130_014, ..server() };
        assert_eq!(version(&old).state, FindingState::Failure);
        let torn = ServerSettings { full_page_writes: "off".to_owned(), ..server() };
        assert!(durability(&torn).found.starts_with("full_page_writes is off"), "{}", durability(&torn));
        let late = ServerSettings { synchronous_commit: "off".to_owned(), ..server() };
        assert_eq!(durability(&late).state, FindingState::Warning);
    }

    #[test]
    fn programs_that_were_replaced_or_removed_are_found() {
        for (installed, state, word) in [
            (Some("17.2"), FindingState::Ok, "on the disk, too"),
            (Some("17.3"), FindingState::Warning, "17.3 is on the disk"),
            (None, FindingState::Failure, "no programs"),
        ] {
            let finding = programs(&server(), installed);
            assert_eq!(finding.state, state, "{finding}");
            assert!(finding.found.contains(word), "{finding}");
        }
    }

    #[test]
    fn the_gravest_thing_about_migrations_is_said() {
        let well = MigrationsState { known: 3, ..MigrationsState::default() };
        let missing = MigrationsState { missing: vec![3], ..well.clone() };
        let newer = MigrationsState { unknown: vec![4], ..missing.clone() };
        let changed = MigrationsState { changed: vec![1], ..newer.clone() };
        let unfinished = MigrationsState { unfinished: Some(2), ..changed.clone() };
        for (state, expected, word) in [
            (&well, FindingState::Ok, "All 3"),
            (&missing, FindingState::Warning, "1 of 3"),
            (&newer, FindingState::Failure, "does not know: 4"),
            (&changed, FindingState::Failure, "another content than here: 1"),
            (&unfinished, FindingState::Failure, "Migration 2"),
        ] {
            let finding = schema(state);
            assert_eq!(finding.state, expected, "{finding}");
            assert!(finding.found.contains(word), "{finding}");
            assert_eq!(state.is_complete(), expected == FindingState::Ok);
        }
    }
}
