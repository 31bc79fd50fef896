//! How much room a disk has.

use std::io;
use std::path::Path;

/// The room of the disk that a folder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that this process may still write.
    pub free: u64,
    /// All bytes.
    pub size: u64,
}

impl DiskSpace {
    /// Asks the operating system. Errors: there is no such folder.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free: bytes(found.f_bavail), size: bytes(found.f_blocks) })
    }

    /// What is free, of a hundred.
    pub fn free_percent(&self) -> u64 {
        u64::try_from(u128::from(self.free) * 100 / u128::from(self.size.max(1))).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_room_and_a_folder_that_is_not_there_has_none() {
        let space = DiskSpace::of(Path::new("/")).unwrap();
        assert!(space.size > 0 && space.free <= space.size, "{space:?}");
        assert!(DiskSpace::of(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn the_share_of_an_odd_disk_is_a_share() {
        let percent = |free, size| DiskSpace { free, size }.free_percent();
        assert_eq!([percent(0, 0), percent(u64::MAX, u64::MAX), percent(1, 3), percent(0, 9)], [0, 100, 33, 0]);
    }
}
