//! Reads `postmaster.pid`, in which a server says who it is and whether it is ready, and finds the
//! processes of a cluster.

use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a server wrote about itself. The format has been the same since PostgreSQL 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: Pid,
    pub(super) port: u16,
    pub(super) socket_dir: PathBuf,
    pub(super) ready: bool,
}

impl PidFile {
    /// `None` where there is no such file, or one whose server has not finished writing it.
    pub(super) fn read(pg_data: &Path) -> Option<Self> {
        Self::parse(&fs::read(path(pg_data)).ok()?)
    }

    /// The server that runs on this cluster, if it accepts connections.
    pub(super) fn read_ready(pg_data: &Path) -> Option<Self> {
        Self::read(pg_data).filter(|file| file.ready && serves(file.pid, pg_data))
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
        let text = |number: usize| Some(str::from_utf8(lines.get(number - 1)?).ok()?.trim());
        Some(Self {
            pid: Pid::from_raw(text(1)?.parse().ok()?)?,
            port: text(4)?.parse().ok()?,
            socket_dir: PathBuf::from(OsStr::from_bytes(lines.get(4)?)),
            ready: text(8) == Some("ready"),
        })
    }
}

fn path(pg_data: &Path) -> PathBuf {
    pg_data.join("postmaster.pid")
}

/// The process id in a stale or fresh `postmaster.pid`. Its first line is there from the start, and is
/// negative for a server in single-user mode.
fn claimed_pid(pg_data: &Path) -> Option<Pid> {
    let content = fs::read_to_string(path(pg_data)).ok()?;
    let number: i32 = content.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(number.checked_abs()?)
}

/// The server that runs on this cluster, if one does.
pub(super) fn live_server(pg_data: &Path) -> Option<Pid> {
    claimed_pid(pg_data).filter(|pid| serves(*pid, pg_data))
}

/// Removes what a server that is gone left behind.
///
/// PostgreSQL does so itself, unless its old process id is in use again, which after the restart of a
/// container it usually is. A server's backends are safe from this: the next server finds them through
/// their shared memory.
pub(super) fn remove_stale(pg_data: &Path) -> io::Result<()> {
    match claimed_pid(pg_data) {
        Some(pid) if proves_identity() && !serves(pid, pg_data) => fs::remove_file(path(pg_data)),
        _ => Ok(()),
    }
}

/// Whether this machine can tell a server from another process with a recycled id.
fn proves_identity() -> bool {
    cfg!(target_os = "linux") && Path::new("/proc/self/stat").exists()
}

/// Whether a process is alive and, as far as the machine can tell, serves this cluster.
pub(super) fn serves(pid: Pid, pg_data: &Path) -> bool {
    if rustix::process::test_kill_process(pid).is_err() {
        // Gone, or somebody else's: a server of ours could be signalled.
        return false;
    }
    !proves_identity() || (is_running(pid) && works_in(pid, pg_data))
}

/// A zombie still answers to its id, but it is no server any more.
fn is_running(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The name in parentheses may itself hold spaces and parentheses, so the state follows the last one.
    let state = stat.rsplit(')').next().map(str::trim_start);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Every process of a cluster has the cluster's directory as its working directory.
fn works_in(pid: Pid, pg_data: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let identity = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let stands_in = identity(Path::new(&format!("/proc/{pid}/cwd")));
    stands_in.is_some() && stands_in == identity(pg_data)
}

/// Ends the processes that a killed server left behind, and which keep the next one from starting:
/// a backend notices that its server is gone only when it next waits for something. Returns how many. What is frozen
/// obeys KILL only.
pub(super) fn end_orphans(pg_data: &Path, signal: Signal) -> usize {
    if !proves_identity() || live_server(pg_data).is_some() {
        return 0;
    }
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|pid| is_running(*pid) && works_in(*pid, pg_data) && runs_postgres(*pid))
        .filter(|pid| kill_process(*pid, signal).is_ok())
        .count()
}

/// A shell whose user looks around in the directory is none of ours.
fn runs_postgres(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "postgres")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    const READY: &str = "4711\n/data/postgres\n1763680000\n5432\n/tmp/half hour\n\n  1  2\nready   \n";

    #[test]
    fn a_ready_server_is_read() {
        let parsed = PidFile::parse(READY.as_bytes()).unwrap();
        assert_eq!(parsed.pid.as_raw_nonzero().get(), 4711);
        assert_eq!(parsed.port, 5432);
        assert_eq!(parsed.socket_dir, Path::new("/tmp/half hour"));
        assert!(parsed.ready);
    }

    #[test]
    fn a_file_cut_off_anywhere_never_counts_as_ready() {
        let status = READY.find("ready").unwrap();
        for end in 0..status + 4 {
            let parsed = PidFile::parse(&READY.as_bytes()[..end]);
            assert!(!parsed.is_some_and(|file| file.ready), "cut at {end}");
        }
    }

    #[test]
    fn a_starting_server_is_not_ready() {
        let parsed = PidFile::parse(READY.replace("ready   ", "starting").as_bytes());
        assert!(!parsed.unwrap().ready);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_recycled_process_id_is_not_taken_for_the_server() {
        let pg_data = tempfile::tempdir().unwrap();
        let file = path(pg_data.path());
        fs::write(&file, READY.replace("4711", &std::process::id().to_string())).unwrap();
        assert_eq!(live_server(pg_data.path()), None);
        remove_stale(pg_data.path()).unwrap();
        assert!(!file.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_works_in_the_directory_keeps_its_pid_file() {
        let pg_data = tempfile::tempdir().unwrap();
        let mut cat = Command::new("cat").stdin(Stdio::piped()).current_dir(pg_data.path()).spawn().unwrap();
        let file = path(pg_data.path());
        fs::write(&file, READY.replace("4711", &cat.id().to_string())).unwrap();
        assert_eq!(live_server(pg_data.path()), Some(Pid::from_child(&cat)));
        remove_stale(pg_data.path()).unwrap();
        assert!(file.exists());

        cat.kill().unwrap();
        // Killed but not yet waited for, it is a zombie: alive to `kill`, dead to us.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while live_server(pg_data.path()).is_some() {
            assert!(std::time::Instant::now() < deadline, "a zombie passes for a server");
            std::thread::yield_now();
        }
        cat.wait().unwrap();
    }
}
