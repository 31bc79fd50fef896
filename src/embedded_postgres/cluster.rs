//! The cluster on disk: how it is made, and with which settings its server runs.

use super::binaries::Installation;
use super::error::EmbeddedPostgresError;
use super::error::files;
use super::interrupt::Interrupt;
use super::launcher::Launcher;
use super::layout::{Layout, Password, remove_tree, sync_directory, write_private};
use super::settings::{Durability, MAX_CONNECTIONS, SUPERUSER};
use super::socket_dir::PORT;
use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// How often it is looked whether a program has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A log longer than this is put aside when the server next starts. One old log is kept.
const LONGEST_LOG_BYTES: u64 = 10 * 1024 * 1024;

/// All that is needed to run the server.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) layout: Layout,
    pub(super) installation: Installation,
    pub(super) launcher: Launcher,
    pub(super) durability: Durability,
    pub(super) socket_dir: PathBuf,
}

impl Cluster {
    pub(super) fn pg_data(&self) -> PathBuf {
        self.layout.pg_data()
    }

    /// The command that runs the server in the foreground.
    pub(super) fn server_command(&self) -> Result<Command, EmbeddedPostgresError> {
        let log = self.open_log()?;
        let errors = log.try_clone().map_err(files("open", &self.layout.log()))?;
        let mut command = self.launcher.command(&self.installation.postgres());
        command.arg("-D").arg(self.pg_data());
        for setting in self.settings() {
            command.arg("-c").arg(setting);
        }
        // In a group of its own, so that Ctrl-C reaches this process alone and the server is ended in
        // order, after the requests that still need it.
        command.process_group(0).stdout(log).stderr(errors);
        Ok(command)
    }

    fn settings(&self) -> Vec<OsString> {
        // A list in PostgreSQL's own syntax: the quotes keep a comma or a space part of the path.
        let mut socket_dir = OsString::from("unix_socket_directories=\"");
        socket_dir.push(&self.socket_dir);
        socket_dir.push("\"");
        let safe = match self.durability {
            Durability::Durable => "on",
            Durability::Disposable => "off",
        };
        let mut settings = vec![socket_dir];
        settings.extend(
            [
                "listen_addresses=".to_owned(),
                format!("port={PORT}"),
                "unix_socket_permissions=0700".to_owned(),
                format!("fsync={safe}"),
                format!("synchronous_commit={safe}"),
                format!("full_page_writes={safe}"),
                "shared_buffers=128MB".to_owned(),
                format!("max_connections={MAX_CONNECTIONS}"),
                // A checkpoint that a large import forces makes every commit wait for a moment at its end: seldom.
                "max_wal_size=2GB".to_owned(),
                "min_wal_size=256MB".to_owned(),
                "wal_buffers=4MB".to_owned(),
                // What a large import writes goes to disk as it comes. The kernel would collect it for half a minute,
                // write it all at once, and make every commit wait for that.
                "backend_flush_after=256kB".to_owned(),
                // A new file of the log is filled with zeros while every commit waits, 50 ms for 16 MB.
                "wal_init_zero=off".to_owned(),
                // Short statements gain nothing from compilation and pay for it.
                "jit=off".to_owned(),
                "timezone=UTC".to_owned(),
                "log_timezone=UTC".to_owned(),
                "log_destination=stderr".to_owned(),
                "logging_collector=off".to_owned(),
                "log_checkpoints=off".to_owned(),
                // %e is the SQLSTATE, by which the supervisor tells failures apart in any language.
                "log_line_prefix=%m [%p] %e ".to_owned(),
                "cluster_name=halfhour".to_owned(),
            ]
            .map(OsString::from),
        );
        settings
    }

    /// Opens the log for appending and puts an overlong one aside first.
    fn open_log(&self) -> Result<File, EmbeddedPostgresError> {
        let path = self.layout.log();
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LONGEST_LOG_BYTES) {
            fs::rename(&path, path.with_extension("log.1")).map_err(files("rename", &path))?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(files("open", &path))
    }
}

/// Makes a new cluster whose only user is the superuser with this password.
///
/// It is made under another name and renamed when it is whole and on disk, so that a crash on the way
/// leaves nothing that could be taken for a cluster.
pub(super) fn create(
    layout: &Layout,
    installation: &Installation,
    launcher: &Launcher,
    durability: Durability,
    password: &Password,
    interrupt: &Interrupt,
) -> Result<(), EmbeddedPostgresError> {
    let unfinished = layout.new_unfinished()?;
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(files("create", &unfinished))?;
    // A copy for initdb, which runs as the cluster's owner and may not be able to read the original.
    let password_copy = unfinished.join("password");
    write_private(&password_copy, password.reveal()).map_err(files("write", &password_copy))?;
    launcher.give(&password_copy)?;
    launcher.give(&unfinished)?;

    let made = unfinished.join("cluster");
    let program = installation.initdb();
    let mut command = launcher.command(&program);
    command
        .arg("-D")
        .arg(&made)
        .arg(format!("--username={SUPERUSER}"))
        .args(["--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions"])
        // C exists everywhere, sorts text as Rust does, and never changes with the operating system.
        .arg("--locale=C")
        .arg(joined("--pwfile=", &password_copy));
    if durability == Durability::Disposable {
        command.arg("--no-sync");
    }
    let made_it = run_to_end(command, &program, interrupt);
    if let Err(error) = made_it {
        // What cannot be removed now, a later start removes.
        let _ = remove_tree(&unfinished);
        return Err(error);
    }
    fs::rename(&made, layout.pg_data()).map_err(files("rename", &made))?;
    sync_directory(&layout.data_dir)?;
    remove_tree(&unfinished)
}

/// Runs initdb. It says little, so that nothing fills up before it has ended.
fn run_to_end(mut command: Command, program: &Path, interrupt: &Interrupt) -> Result<(), EmbeddedPostgresError> {
    let failed = |source| EmbeddedPostgresError::Spawn { program: program.to_owned(), source };
    // In a group of its own, so that Ctrl-C is ours to answer, and what it started ends with it.
    let mut child = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    loop {
        if child.try_wait().map_err(failed)?.is_some() {
            break;
        }
        if interrupt.is_set() {
            // Asked kindly it would clean up, but no sooner than we do.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            child.wait().map_err(failed)?;
            return Err(EmbeddedPostgresError::Interrupted);
        }
        thread::sleep(POLL_INTERVAL);
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    Err(EmbeddedPostgresError::Initdb { output: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
}

fn joined(option: &str, path: &std::path::Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}
