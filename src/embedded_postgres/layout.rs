//! The data directory: what lies where, who holds it, and the password of the cluster's only user.

use super::error::EmbeddedPostgresError;
use super::error::files;
use std::fmt::{self, Write as _};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How the names of unfinished clusters begin.
const UNFINISHED: &str = "postgres.partial";

/// The data directory, as an absolute path without symbolic links.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) data_dir: PathBuf,
}

impl Layout {
    /// Creates the directory, for this user alone, if it is missing.
    pub(super) fn create(data_dir: &Path) -> Result<Self, EmbeddedPostgresError> {
        if let Some(parent) = data_dir.parent() {
            fs::create_dir_all(parent).map_err(files("create", parent))?;
        }
        match DirBuilder::new().mode(0o700).create(data_dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(files("create", data_dir)(error));
            }
            _ => {}
        }
        let data_dir = fs::canonicalize(data_dir).map_err(files("find", data_dir))?;
        Ok(Self { data_dir })
    }

    pub(super) fn pg_data(&self) -> PathBuf {
        self.data_dir.join("postgres")
    }

    /// Where a cluster is made before it gets its name. Whatever is in here is unfinished. Each attempt has a name of
    /// its own, because what a killed process started may go on writing, and cleaning up, for a moment.
    pub(super) fn new_unfinished(&self) -> Result<PathBuf, EmbeddedPostgresError> {
        let mut bytes = [0_u8; 8];
        getrandom::fill(&mut bytes).map_err(|error| files("make a name in", &self.data_dir)(error.into()))?;
        Ok(self.data_dir.join(format!("{UNFINISHED}-{}", hex(&bytes))))
    }

    /// Removes what earlier attempts left. What is still being written is left to a later start.
    pub(super) fn remove_unfinished(&self) -> Result<(), EmbeddedPostgresError> {
        let entries = fs::read_dir(&self.data_dir).map_err(files("read", &self.data_dir))?;
        for entry in entries {
            let entry = entry.map_err(files("read", &self.data_dir))?;
            if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                continue;
            }
            match fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    tracing::info!("a cluster that a killed process began to make is still being written");
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(files("remove", &entry.path())(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn log(&self) -> PathBuf {
        self.data_dir.join("postgres.log")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.data_dir.join("server.lock")
    }

    fn guests(&self) -> PathBuf {
        self.data_dir.join("guests.lock")
    }

    pub(super) fn password(&self) -> PathBuf {
        self.data_dir.join("postgres.password")
    }

    /// What `PG_VERSION` says, or `None` where no cluster has been made yet.
    pub(super) fn cluster_version(&self) -> Result<Option<String>, EmbeddedPostgresError> {
        let pg_data = self.pg_data();
        let version_file = pg_data.join("PG_VERSION");
        match fs::read_to_string(&version_file) {
            Ok(version) if version.trim().is_empty() => {
                return Err(EmbeddedPostgresError::VersionEmpty { version_file });
            }
            Ok(version) => return Ok(Some(version.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(files("read", &version_file)(error)),
        }
        let is_empty = match fs::read_dir(&pg_data) {
            // An empty directory is what a mount point or a careful operator leaves: it is used.
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(files("read", &pg_data)(error)),
        };
        if is_empty { Ok(None) } else { Err(EmbeddedPostgresError::NotACluster { pg_data }) }
    }

    pub(super) fn read_password(&self) -> Result<Password, EmbeddedPostgresError> {
        let path = self.password();
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(Password(text.trim().to_owned())),
            Ok(_) => Err(EmbeddedPostgresError::PasswordMissing { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EmbeddedPostgresError::PasswordMissing { path })
            }
            Err(error) => Err(files("read", &path)(error)),
        }
    }

    /// Makes a password and stores it durably. It must be on disk before a cluster that asks for it.
    pub(super) fn create_password(&self) -> Result<Password, EmbeddedPostgresError> {
        let path = self.password();
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| files("make a random password for", &path)(error.into()))?;
        let password = Password(hex(&bytes));
        write_private(&path, &password.0).map_err(files("write", &path))?;
        sync_directory(&self.data_dir)?;
        Ok(password)
    }
}

/// The password of the cluster's only user. It cannot be printed by accident.
#[derive(Clone)]
pub(super) struct Password(String);

impl Password {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// Writes bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a file that only this user may read, and waits until it is on disk.
pub(super) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Makes new names in a directory survive a power cut.
pub(super) fn sync_directory(directory: &Path) -> Result<(), EmbeddedPostgresError> {
    File::open(directory).and_then(|opened| opened.sync_all()).map_err(files("sync", directory))
}

/// Removes a directory tree; one that is not there is as good as removed.
pub(super) fn remove_tree(path: &Path) -> Result<(), EmbeddedPostgresError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files("remove", path)(error)),
        _ => Ok(()),
    }
}

/// The right to be the one process that runs the cluster. The kernel takes it back when the process
/// ends, however it ends, so a crash leaves no stale lock.
#[derive(Debug)]
pub(super) struct ServerLock {
    _file: File,
}

/// Shared by all who joined another process's cluster, so that a command that started it can end it after them.
#[derive(Debug)]
pub(super) struct GuestLock {
    _file: File,
}

impl GuestLock {
    /// For one who joins. `None` if the cluster is about to end.
    pub(super) fn shared(layout: &Layout) -> Result<Option<Self>, EmbeddedPostgresError> {
        Self::attempt(layout, File::try_lock_shared)
    }

    /// For the one who ends it. `None` while there are guests.
    pub(super) fn alone(layout: &Layout) -> Result<Option<Self>, EmbeddedPostgresError> {
        Self::attempt(layout, File::try_lock)
    }

    fn attempt(
        layout: &Layout,
        lock: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<Option<Self>, EmbeddedPostgresError> {
        let path = layout.guests();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(files("open", &path))?;
        match lock(&file) {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(files("lock", &path)(error)),
        }
    }
}

/// The outcome of asking for the lock.
#[derive(Debug)]
pub(super) enum LockAttempt {
    Taken(ServerLock),
    HeldBy(Option<u32>),
}

impl ServerLock {
    pub(super) fn attempt(layout: &Layout) -> Result<LockAttempt, EmbeddedPostgresError> {
        let path = layout.lock();
        // Never truncated on opening: the text belongs to the holder until the lock is ours.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(files("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(files("read", &path))?;
                return Ok(LockAttempt::HeldBy(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(files("lock", &path)(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(files("write", &path))?;
        Ok(LockAttempt::Taken(Self { _file: file }))
    }
}
