//! Finds the PostgreSQL programs: installed ones first, a download last.

use super::bounded;
use super::download;
use super::error::EmbeddedPostgresError;
use super::interrupt::Interrupt;
use super::layout::Layout;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

/// The oldest major version that the SQL of this server runs on.
pub const OLDEST_MAJOR: u32 = 14;

/// The major version that is downloaded where no cluster asks for another.
const DOWNLOADED_MAJOR: u32 = 17;

/// How long a program may take to say its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);

/// A directory with PostgreSQL's server programs, all of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) bin_dir: PathBuf,
    /// Where it was found. An upgrade may turn a link here to another directory.
    pub(super) place: PathBuf,
    pub(super) major: u32,
    /// As the programs say it: `15.18 (Debian 15.18-1)`.
    pub(super) version: String,
}

impl Installation {
    pub(super) fn initdb(&self) -> PathBuf {
        self.bin_dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.bin_dir.join("postgres")
    }

    /// The server program as it would be found now.
    pub(super) fn found_postgres(&self) -> PathBuf {
        self.place.join("postgres")
    }

    /// The programs that would be started now in place of these: those at the same place, or those of the same major
    /// version elsewhere. Where programs of another major version have taken their place, these are returned, so that
    /// they can be named. Nothing is downloaded.
    pub(super) fn successor(&self, data_dir: &Path) -> Option<Self> {
        let at_place = inspect(&self.place);
        if at_place.as_ref().is_some_and(|found| found.major == self.major) {
            return at_place;
        }
        let mut elsewhere = search_list(data_dir).into_iter().filter_map(|place| inspect(&place));
        elsewhere.find(|found| found.major == self.major).or(at_place)
    }
}

/// Finds programs that fit the cluster on disk, or any that are new enough where there is none yet.
pub(super) fn find(
    layout: &Layout,
    cluster_version: Option<&str>,
    interrupt: &Interrupt,
) -> Result<Installation, EmbeddedPostgresError> {
    let found = choose(&search_list(&layout.data_dir), &layout.pg_data(), cluster_version, |major| {
        download::postgres(&layout.data_dir, major, interrupt)
    });
    // Why a download failed that was interrupted is no news.
    found.map_err(|error| if interrupt.is_set() { EmbeddedPostgresError::Interrupted } else { error })
}

fn choose(
    places: &[PathBuf],
    pg_data: &Path,
    cluster_version: Option<&str>,
    download: impl FnOnce(u32) -> Result<PathBuf, String>,
) -> Result<Installation, EmbeddedPostgresError> {
    let cluster_major = match cluster_version.map(|version| (version, leading_number(version))) {
        None => None,
        Some((_, Some(major))) if major >= OLDEST_MAJOR => Some(major),
        Some((version, _)) => {
            return Err(EmbeddedPostgresError::ClusterTooOld {
                pg_data: pg_data.to_owned(),
                cluster: version.to_owned(),
                oldest: OLDEST_MAJOR,
            });
        }
    };
    let mut found = Vec::new();
    for installation in places.iter().filter_map(|place| inspect(place)) {
        let fits = match cluster_major {
            Some(major) => installation.major == major,
            None => installation.major >= OLDEST_MAJOR,
        };
        if fits {
            return Ok(installation);
        }
        if !found.contains(&installation.major) {
            found.push(installation.major);
        }
    }
    let wanted = cluster_major.unwrap_or(DOWNLOADED_MAJOR);
    tracing::info!(major = wanted, "no fitting PostgreSQL is installed: downloading one, once");
    let reason = match download(wanted).map(|bin_dir| inspect(&bin_dir)) {
        Ok(Some(installation)) => return Ok(installation),
        Ok(None) => "the downloaded programs do not run on this machine".to_owned(),
        Err(reason) => reason,
    };
    Err(match cluster_major {
        Some(cluster) => {
            EmbeddedPostgresError::VersionMismatch { pg_data: pg_data.to_owned(), cluster, found, download: reason }
        }
        None => EmbeddedPostgresError::NoPostgres { oldest: OLDEST_MAJOR, download: reason },
    })
}

/// The version of the programs that a cluster of this major version would be started with now, as they say it. `None` where
/// none are there. Nothing is downloaded.
pub fn installed_version(data_dir: &Path, major: u32) -> Option<String> {
    let mut installed = search_list(data_dir).into_iter().filter_map(|place| inspect(&place));
    installed.find(|found| found.major == major).map(|found| found.version)
}

/// Every directory worth a look, best first. None of them need exist.
fn search_list(data_dir: &Path) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    places.extend(pg_config_bin_dir());
    places.extend(versioned(Path::new("/usr/lib/postgresql"), ""));
    for prefix in ["/opt/homebrew/opt", "/usr/local/opt"] {
        places.extend(versioned(Path::new(prefix), "postgresql@"));
    }
    places.extend(versioned(data_dir, download::DIRECTORY_PREFIX));
    places
}

/// `pg_config` knows where a distribution hides the server programs. It is asked only if it is in PATH.
fn pg_config_bin_dir() -> Option<PathBuf> {
    let output = bounded::run(Command::new("pg_config").arg("--bindir"), VERSION_LIMIT, &mut || true).ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| PathBuf::from(text.trim()))
}

/// The `bin` directories of `<parent>/<prefix><version>`, newest version first.
fn versioned(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            let parts: Result<Vec<u32>, _> = version.split('.').map(str::parse).collect();
            Some((parts.ok()?, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|left, right| right.0.cmp(&left.0));
    found.into_iter().map(|(_, bin_dir)| bin_dir).collect()
}

/// Asks the programs in a directory for their version. `None` if they are missing or do not run.
fn inspect(place: &Path) -> Option<Installation> {
    if !place.join("postgres").is_file() || !place.join("initdb").is_file() {
        return None;
    }
    // A link farm such as /usr/local/bin points at the real directory, which also holds what they need.
    let resolved = fs::canonicalize(place.join("postgres")).ok()?;
    let bin_dir = resolved
        .parent()
        .filter(|parent| parent.join("initdb").is_file())
        .map_or_else(|| fs::canonicalize(place).ok(), |parent| Some(parent.to_owned()))?;
    // The one thing that postgres does as root is to say its version.
    let mut command = Command::new(bin_dir.join("postgres"));
    let output = bounded::run(command.arg("--version"), VERSION_LIMIT, &mut || true).ok()?;
    // `postgres (PostgreSQL) 15.18 (Debian 15.18-1)`
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_once("(PostgreSQL)").map_or(&*said, |(_, version)| version).trim();
    let major = version.split_whitespace().find_map(leading_number)?;
    Some(Installation { bin_dir, place: place.to_owned(), major, version: version.to_owned() })
}

/// `15.18` is 15, `18beta1` is 18, `(PostgreSQL)` is nothing.
fn leading_number(word: &str) -> Option<u32> {
    let end = word.find(|character: char| !character.is_ascii_digit()).unwrap_or(word.len());
    word[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory whose `postgres` claims a version.
    fn fake_installation(parent: &Path, version: &str) -> PathBuf {
        let bin_dir = parent.join(version).join("bin");
        fs::create_dir_all(&bin_dir).unwrap();
        for program in ["postgres", "initdb"] {
            let path = bin_dir.join(program);
            let script = format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Some 1:2)'\n");
            // By a process of its own: a file that this one has open for writing, and with it whatever another test starts
            // just then, cannot be run.
            let write = "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\"";
            let status = Command::new("sh").args(["-c", write]).arg(&path).arg(script).status().unwrap();
            assert!(status.success());
        }
        bin_dir
    }

    fn no_download(_: u32) -> Result<PathBuf, String> {
        Err("the network is down".to_owned())
    }

    fn chosen(places: &[PathBuf], version: Option<&str>) -> Result<u32, EmbeddedPostgresError> {
        choose(places, Path::new("/data/postgres"), version, no_download).map(|found| found.major)
    }

    #[test]
    fn without_programs_and_network_the_three_ways_out_are_named() {
        let message = chosen(&[], None).unwrap_err().to_string();
        for part in ["install PostgreSQL 14", "DATABASE_URL", "github.com", "the network is down"] {
            assert!(message.contains(part), "{part} is missing from: {message}");
        }
    }

    #[test]
    fn the_first_place_that_is_new_enough_is_chosen() {
        let parent = tempfile::tempdir().unwrap();
        let places = ["9.6.24", "16.4", "17.2"].map(|version| fake_installation(parent.path(), version));
        assert_eq!(chosen(&places, None).unwrap(), 16);
    }

    #[test]
    fn an_existing_cluster_chooses_its_own_version() {
        let parent = tempfile::tempdir().unwrap();
        let places = ["17.2", "15.18", "16.4"].map(|version| fake_installation(parent.path(), version));
        assert_eq!(chosen(&places, Some("15")).unwrap(), 15);
    }

    #[test]
    fn a_cluster_of_another_version_is_refused_by_name() {
        let parent = tempfile::tempdir().unwrap();
        let places = ["17.2", "15.18"].map(|version| fake_installation(parent.path(), version));
        let message = chosen(&places, Some("16")).unwrap_err().to_string();
        for part in ["created by PostgreSQL 16", "only PostgreSQL 17, 15", "Install PostgreSQL 16"] {
            assert!(message.contains(part), "{part} is missing from: {message}");
        }
    }

    #[test]
    fn a_cluster_older_than_supported_is_refused_without_a_download() {
        let outcome = choose(&[], Path::new("/data/postgres"), Some("9.6"), |_| panic!("nothing to download"));
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains("9.6") && message.contains("pg_upgrade"), "{message}");
    }

    #[test]
    fn the_download_is_asked_for_the_clusters_version_and_used() {
        let parent = tempfile::tempdir().unwrap();
        let outcome = choose(&[], Path::new("/data/postgres"), Some("16"), |major| {
            Ok(fake_installation(parent.path(), &format!("{major}.9")))
        });
        assert_eq!(outcome.unwrap().major, 16);
    }

    #[test]
    fn programs_are_followed_by_what_has_taken_their_place() {
        let parent = tempfile::tempdir().unwrap();
        let place = parent.path().join("current");
        let turn_to = |bin_dir: PathBuf| {
            let _ = fs::remove_file(&place);
            std::os::unix::fs::symlink(bin_dir, &place).unwrap();
        };
        turn_to(fake_installation(parent.path(), "15.4"));
        let before = inspect(&place).unwrap();
        assert_eq!((before.version.as_str(), before.major), ("15.4 (Some 1:2)", 15));

        turn_to(fake_installation(parent.path(), "15.5"));
        let after = before.successor(parent.path()).unwrap();
        assert_eq!(after.version, "15.5 (Some 1:2)");
        assert_ne!(after.bin_dir, before.bin_dir);
        assert_eq!(after.successor(parent.path()), Some(after.clone()));
    }

    #[test]
    fn programs_that_are_gone_are_looked_for_elsewhere_and_another_major_version_is_named() {
        let parent = tempfile::tempdir().unwrap();
        // A version that no machine has, so that nothing but the data directory offers it.
        let place = fake_installation(parent.path(), "999.4");
        let before = inspect(&place).unwrap();
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(before.successor(parent.path()), None);

        fs::rename(fake_installation(parent.path(), "1000.1"), &place).unwrap();
        assert_eq!(before.successor(parent.path()).unwrap().major, 1000);

        let downloaded = parent.path().join("data");
        fs::rename(fake_installation(parent.path(), "999.5").parent().unwrap(), {
            fs::create_dir(&downloaded).unwrap();
            downloaded.join("postgresql-999.5")
        })
        .unwrap();
        assert_eq!(before.successor(&downloaded).unwrap().version, "999.5 (Some 1:2)");
    }

    #[test]
    fn versions_are_ordered_by_number_not_by_text() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["postgresql@9", "postgresql@16", "postgresql@15.4", "postgresql@15.12", "postgresql@x"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = versioned(parent.path(), "postgresql@");
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(parent.path()).unwrap().to_str().unwrap()).collect();
        let expected = ["postgresql@16/bin", "postgresql@15.12/bin", "postgresql@15.4/bin", "postgresql@9/bin"];
        assert_eq!(names, expected);
    }
}
