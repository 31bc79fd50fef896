//! The programs that lie on disk and the ones that run, and what the owner of the cluster may know of them.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What tells one file from another that has taken its name. Which of the two is newer is not asked: packages bring
/// their own times along, and clocks go backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    /// Of what a path leads to. `None` where that is no file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().filter(Metadata::is_file).map(|metadata| Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The files by which an installation is known: `None` for one that is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ProgramFiles {
    /// The server program.
    pub(super) server: Option<FileIdentity>,
    /// The library of PL/pgSQL, which stands for all that a server loads late.
    pub(super) library: Option<FileIdentity>,
}

/// How it stands with programs on disk that are not those that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeState {
    /// They have just changed, and may be changing still.
    Settling,
    /// They run this cluster: a trial has shown it. The server is restarted at a quiet moment.
    RestartWaits,
    /// They cannot run this cluster. The old ones go on for as long as they run.
    Unusable,
}

impl UpgradeState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Settling, Self::RestartWaits, Self::Unusable];

    /// Its name for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Settling => "settling",
            Self::RestartWaits => "restart_waits",
            Self::Unusable => "unusable",
        }
    }
}

/// Programs on disk that are not those that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Since when they are seen, by this machine's clock.
    pub since: SystemTime,
    /// How it stands with them.
    pub state: UpgradeState,
    /// Their version, as far as it is known: `15.19 (Debian 15.19-1)`.
    pub version: Option<String>,
    /// Why they cannot be used, and what to do.
    pub detail: Option<String>,
}

/// Says whether nobody would notice if the server were away for a moment.
type IsQuiet = Arc<dyn Fn() -> bool + Send + Sync>;

/// What the supervisor and its owner tell each other. Clones share it.
#[derive(Clone, Default)]
pub struct Programs(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    running: String,
    upgrade: Option<Upgrade>,
    is_quiet: Option<IsQuiet>,
}

impl Programs {
    /// The version that runs: `15.18 (Debian 15.18-1)`.
    pub fn version(&self) -> String {
        self.known().running.clone()
    }

    /// The programs on disk, where they are others.
    pub fn upgrade(&self) -> Option<Upgrade> {
        self.known().upgrade.clone()
    }

    /// Has the server restarted after an upgrade, as soon as `is_quiet` says that nobody would notice, and after
    /// [`RESTART_AT_LATEST`](super::RESTART_AT_LATEST) in any case. Without this it is never restarted.
    pub fn restart_when(&self, is_quiet: impl Fn() -> bool + Send + Sync + 'static) {
        self.known().is_quiet = Some(Arc::new(is_quiet));
    }

    pub(super) fn runs(&self, version: &str) {
        version.clone_into(&mut self.known().running);
    }

    pub(super) fn tell(&self, upgrade: Option<Upgrade>) {
        self.known().upgrade = upgrade;
    }

    /// `None` where the owner has not asked for restarts.
    pub(super) fn is_quiet(&self) -> Option<bool> {
        // Asked without the lock, because the owner's function is the owner's.
        let is_quiet = self.known().is_quiet.clone();
        is_quiet.map(|is_quiet| is_quiet())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Programs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known();
        formatter
            .debug_struct("Programs")
            .field("running", &known.running)
            .field("upgrade", &known.upgrade)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    #[test]
    fn a_file_is_another_one_with_another_time_in_either_direction_another_length_or_another_inode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("postgres");
        fs::write(&path, "one").unwrap();
        let first = FileIdentity::of(&path).unwrap();
        assert_eq!(FileIdentity::of(&path), Some(first));
        let set_modified = |time| File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        for time in [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_hours(24)] {
            set_modified(time);
            assert_ne!(FileIdentity::of(&path), Some(first), "{time:?}");
        }
        fs::write(&path, "longer").unwrap();
        set_modified(SystemTime::UNIX_EPOCH);
        let longer = FileIdentity::of(&path).unwrap();
        // A package puts its file beside the old one and renames it. The times may be the same.
        let beside = directory.path().join("postgres.new");
        fs::write(&beside, "longer").unwrap();
        File::options().write(true).open(&beside).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        fs::rename(&beside, &path).unwrap();
        assert_ne!(FileIdentity::of(&path), Some(longer));
    }

    #[test]
    fn what_is_missing_or_no_file_has_no_identity() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(FileIdentity::of(directory.path()), None);
        assert_eq!(FileIdentity::of(&directory.path().join("postgres")), None);
        std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).unwrap();
        assert_eq!(FileIdentity::of(&directory.path().join("dangling")), None);
    }
}
