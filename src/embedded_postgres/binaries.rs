//! Finds the PostgreSQL programs: installed ones first, a download last.

use super::download;
use super::error::EmbeddedPostgresError;
use super::interrupt::Interrupt;
use super::layout::Layout;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// The oldest major version that the SQL of this server runs on.
const OLDEST_MAJOR: u32 = 14;

/// The major version that is downloaded where no cluster asks for another.
const DOWNLOADED_MAJOR: u32 = 17;

/// A directory with PostgreSQL's server programs, all of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installation {
    pub(super) bin_dir: PathBuf,
    pub(super) major: u32,
}

impl Installation {
    pub(super) fn initdb(&self) -> PathBuf {
        self.bin_dir.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.bin_dir.join("postgres")
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
    let output = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output().ok()?;
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
    let output = Command::new(bin_dir.join("postgres")).arg("--version").stdin(Stdio::null()).output().ok()?;
    let major = String::from_utf8_lossy(&output.stdout).split_whitespace().find_map(leading_number)?;
    Some(Installation { bin_dir, major })
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
