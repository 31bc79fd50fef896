//! What can be seen without a database: the settings, the server's key, the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::config::{Config, Database, Faults};
use crate::features::operations::DiskSpace;
use crate::kernel::access::ServerKey;

const GIB: u64 = 1 << 30;
/// Less free space than both of these is a warning: a share of the disk, of a hundred, and bytes that a busy
/// installation may write within a day.
const LOW: (u64, u64) = (10, 20 * GIB);
/// Less than this, whatever the share, and PostgreSQL may stop at any moment: its log and a large import take as much.
const TOO_LOW: u64 = GIB;

pub fn settings(config: &Result<Config, Faults>) -> Finding {
    const CHECK: &str = "settings";
    let config = match config {
        Ok(config) => config,
        Err(faults) => {
            let found = faults.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            return Finding::failure(
                CHECK,
                found,
                "no server starts with these, and nothing else can be checked",
                "put right what each variable is said to need; .env.example lists them all",
            );
        }
    };
    let database = match &config.database {
        Database::Embedded => format!("a private PostgreSQL in {}", config.data_dir.display()),
        Database::External(options) => format!("the PostgreSQL of DATABASE_URL, at {}", options.get_host()),
    };
    let found = format!("They are valid; the database is {database}.");
    if !config.bind.ip().is_loopback() && config.limits.anonymous == 0 {
        return Finding::warning(
            CHECK,
            format!("{found} HALFHOUR_BIND is {}, and strangers are not limited.", config.bind),
            "whoever reaches this address may try tokens and ask for pages as fast as the machine goes",
            "set HALFHOUR_LIMIT_ANONYMOUS_PER_MINUTE, or make sure that a proxy limits strangers",
        );
    }
    Finding::ok(CHECK, found)
}

/// The key that tokens are made under.
pub fn secret(config: &Config) -> Finding {
    const CHECK: &str = "secret";
    if config.secret.is_some() {
        return Finding::ok(CHECK, "HALFHOUR_SECRET is set.");
    }
    let path = config.data_dir.join("secret.key");
    let shown = path.display();
    let found = fs::metadata(&path).and_then(|metadata| Ok((metadata.permissions().mode(), fs::read(&path)?)));
    match found {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !has_cluster(&config.data_dir) => {
            Finding::ok(CHECK, format!("{shown} is made at the first start."))
        }
        Err(error) => Finding::failure(
            CHECK,
            format!("{shown} cannot be read: {error}."),
            "the next start makes another key, and every token that was issued is void",
            "restore it from a backup before the server is started",
        ),
        Ok((_, bytes)) if ServerKey::new(&bytes).is_none() => Finding::failure(
            CHECK,
            format!("{shown} is too short to be a key."),
            "the server does not start",
            "restore it from a backup, or remove it to void all tokens",
        ),
        Ok((mode, _)) if mode & 0o077 != 0 => Finding::warning(
            CHECK,
            format!("{shown} has the mode {:o}.", mode & 0o777),
            "other users of this machine may read it, and make tokens that look genuine and signed cursors",
            &format!("chmod 600 {shown}"),
        ),
        Ok(_) => Finding::ok(CHECK, format!("{shown} is there, for its owner alone.")),
    }
}

pub fn disk(config: &Config) -> Finding {
    const CHECK: &str = "disk";
    if matches!(config.database, Database::External(_)) {
        return Finding::not_checked(
            CHECK,
            "The database's disk is not seen from here; watch it where PostgreSQL runs.",
        );
    }
    // Where nothing was started yet, the folder that it is going to be in.
    let folder = config.data_dir.ancestors().find(|folder| folder.exists());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| ".".as_ref());
    match DiskSpace::of(folder) {
        Ok(space) => disk_finding(CHECK, space, &folder.display().to_string()),
        Err(error) => Finding::failure(
            CHECK,
            format!("{} cannot be looked at: {error}.", folder.display()),
            "the server cannot keep its data there",
            "set HALFHOUR_DATA_DIR to a folder that this user may write to",
        ),
    }
}

fn disk_finding(check: &'static str, space: DiskSpace, folder: &str) -> Finding {
    let mib = |bytes: u64| bytes >> 20;
    let found = format!(
        "{} MiB of {} MiB ({} %) are free at {folder}.",
        mib(space.free),
        mib(space.size),
        space.free_percent()
    );
    let advice = "make room, or set HALFHOUR_RETENTION_DAYS, or move the data directory to a larger disk";
    if space.free < TOO_LOW {
        let means =
            "PostgreSQL stops when it cannot write; posts are then answered 503, and nothing acknowledged is lost";
        return Finding::failure(check, found, means, advice);
    }
    let (percent, bytes) = LOW;
    if space.free_percent() < percent && space.free < bytes {
        return Finding::warning(check, found, "the disk may be full before somebody looks again", advice);
    }
    Finding::ok(check, found)
}

/// Whether a private PostgreSQL was ever made there.
pub fn has_cluster(data_dir: &Path) -> bool {
    data_dir.join("postgres/PG_VERSION").exists()
}

/// A private PostgreSQL that was never made.
pub fn no_cluster(config: &Config) -> Finding {
    let found = format!("There is no cluster in {} yet.", config.data_dir.display());
    let means = "the first start makes it; if there should be one, this is another data directory than the server's";
    Finding::warning("database", found, means, "set HALFHOUR_DATA_DIR as for the server, or start it here")
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingState;
    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_is_free_and_by_what_that_is_of_the_whole() {
        for (free, size, expected) in [
            (500 * GIB, 1_000 * GIB, FindingState::Ok),
            // A small share of a large disk is much.
            (21 * GIB, 1_000 * GIB, FindingState::Ok),
            (19 * GIB, 1_000 * GIB, FindingState::Warning),
            // A small disk that is half free is as large as its owner wanted.
            (2 * GIB, 4 * GIB, FindingState::Ok),
            (GIB, 11 * GIB, FindingState::Warning),
            (GIB - 1, GIB, FindingState::Failure),
            (0, 0, FindingState::Failure),
        ] {
            let finding = disk_finding("disk", DiskSpace { free, size }, "/data");
            assert_eq!(finding.state, expected, "{finding}");
            assert_eq!(finding.advice.is_some(), expected != FindingState::Ok);
        }
    }
}
