//! The directory of the server's socket: private and short. The kernel allows the path of a socket
//! little more than a hundred bytes, while a data directory may lie as deep as it likes.

use super::error::EmbeddedPostgresError;
use super::error::files;
use super::launcher::Launcher;
use super::layout::{Layout, hex};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{env, io};

/// The only port; without TCP it is no more than a part of the socket's name.
pub(super) const PORT: u16 = 5432;

/// The port of a server that is only tried out.
pub(super) const TRIAL_PORT: u16 = 5433;

/// Leaves room for `/.s.PGSQL.5432.lock` within the 104 bytes of the strictest system.
const LONGEST_PATH: usize = 80;

/// How many names to try where others have taken the first ones.
const ATTEMPTS: u32 = 8;

/// Chooses and creates the directory. The name follows from the data directory, so that what a crash
/// left behind is used again and cleaned up in the end instead of piling up.
pub(super) fn choose(layout: &Layout, launcher: &Launcher) -> Result<PathBuf, EmbeddedPostgresError> {
    let metadata = fs::metadata(&layout.data_dir).map_err(files("look at", &layout.data_dir))?;
    // The path alone does not tell two containers apart that share a temporary directory.
    let digest = Sha256::new()
        .chain_update(metadata.dev().to_le_bytes())
        .chain_update(metadata.ino().to_le_bytes())
        .chain_update(layout.data_dir.as_os_str().as_bytes())
        .finalize();
    let name = hex(&digest[..8]);
    let parent = parent(&env::temp_dir(), name.len());
    let mut taken = None;
    for attempt in 0..ATTEMPTS {
        let path = match attempt {
            0 => parent.join(format!("halfhour-{name}")),
            _ => parent.join(format!("halfhour-{name}-{attempt}")),
        };
        match ensure(&path, launcher) {
            Ok(()) => return Ok(path),
            Err(error) => taken = Some(error),
        }
    }
    Err(taken.unwrap_or_else(|| files("create a socket directory in", &parent)(io::ErrorKind::AlreadyExists.into())))
}

/// The temporary directory, or `/tmp` where that is too long or could not be named to a driver.
fn parent(temporary: &Path, name_length: usize) -> PathBuf {
    let length = temporary.as_os_str().len() + "/halfhour--0".len() + name_length;
    if temporary.is_absolute() && temporary.to_str().is_some() && length <= LONGEST_PATH {
        temporary.to_owned()
    } else {
        PathBuf::from("/tmp")
    }
}

/// Creates the directory, or makes sure that the one that is there is ours and closed to others: in a
/// shared temporary directory anybody may have put something under this name.
pub(super) fn ensure(path: &Path, launcher: &Launcher) -> Result<(), EmbeddedPostgresError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(files("look at", path))?;
            if !metadata.is_dir() || !launcher.may_own(metadata.uid()) {
                return Err(files("use, because somebody else made it,", path)(error));
            }
            fs::set_permissions(path, Permissions::from_mode(0o700))
                .map_err(files("change the permissions of", path))?;
        }
        Err(error) => return Err(files("create", path)(error)),
    }
    launcher.give(path)
}

/// Removes the socket of a server that is gone, whose lock file would otherwise name a process id that
/// may be in use again.
pub(super) fn remove_stale_socket(path: &Path) {
    for name in [format!(".s.PGSQL.{PORT}"), format!(".s.PGSQL.{PORT}.lock")] {
        // What cannot be removed is the server's to complain about, in its log.
        let _ = fs::remove_file(path.join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_directory_that_is_too_deep_is_not_used() {
        let deep = PathBuf::from(format!("/{}", "x".repeat(60)));
        assert_eq!(parent(&deep, 16), Path::new("/tmp"));
        assert_eq!(parent(Path::new("/var/tmp"), 16), Path::new("/var/tmp"));
        assert_eq!(parent(Path::new("tmp"), 16), Path::new("/tmp"));
    }
}
