//! A look at processes, and signals to those that a test started.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process.
#[track_caller]
pub fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// The private PostgreSQL of a data directory, by its own file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postmaster {
    pub pid: u32,
    pub socket_dir: PathBuf,
}

impl Postmaster {
    /// `None` where no server is, or one that is just coming.
    pub fn find(data_dir: &Path) -> Option<Self> {
        let content = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
        let mut lines = content.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let socket_dir = lines.nth(3).filter(|line| !line.is_empty())?.into();
        Some(Self { pid, socket_dir })
    }
}

/// The processes that a process has started.
pub fn children_of(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // Behind the name, which may have spaces in it, come the state and the parent.
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parents = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parents == Some(parent.to_string().as_str())
    };
    pids.filter(is_child).collect()
}

/// What runs on behalf of a directory, as `pid command`: processes that name it, or that work in it, as PostgreSQL's
/// own children do. Zombies are gone for this purpose. Empty on systems without `/proc`.
pub fn working_in(directory: &Path) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process may end while it is looked at, and others' cannot be looked into.
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let names_it =
            arguments.windows(directory.as_os_str().len()).any(|part| part == directory.as_os_str().as_bytes());
        let is_in_it = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
        if names_it || is_in_it {
            found.push(format!("{name} {}", String::from_utf8_lossy(&arguments).replace('\0', " ")));
        }
    }
    found
}
