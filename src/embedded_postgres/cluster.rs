//! The cluster on disk: how it is made, and with which settings its server runs.

use super::binaries::Installation;
use super::bounded::{self, GoOn};
use super::error::EmbeddedPostgresError;
use super::error::files;
use super::launcher::Launcher;
use super::layout::{Layout, Password, remove_tree, sync_directory, write_private};
use super::settings::{Durability, MAX_CONNECTIONS, SUPERUSER};
use super::socket_dir::PORT;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A log longer than this is put aside when the server next starts. One old log is kept.
const LONGEST_LOG_BYTES: u64 = 10 * 1024 * 1024;

/// How long `initdb` may take on a slow disk.
const INITDB_LIMIT: Duration = Duration::from_mins(2);

/// The setting by which the server itself loads the libraries that the schema needs. A session that loaded one late would
/// take it from programs that an upgrade has put in place of the running ones, and fail.
pub(super) const PRELOADED: &str = "shared_preload_libraries=plpgsql";

/// All that is needed to run the server.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub(super) layout: Layout,
    pub(super) installation: Installation,
    pub(super) launcher: Launcher,
    pub(super) durability: Durability,
    pub(super) socket_dir: PathBuf,
    pub(super) password: Password,
}

impl Cluster {
    pub(super) fn pg_data(&self) -> PathBuf {
        self.layout.pg_data()
    }

    /// The command that runs the server in the foreground.
    pub(super) fn server_command(&self) -> Result<Command, EmbeddedPostgresError> {
        let log = self.open_log()?;
        self.command_on(&self.installation, &self.pg_data(), PORT, log).map_err(files("open", &self.layout.log()))
    }

    /// The command that runs a server on any cluster, with the settings of this one.
    pub(super) fn command_on(
        &self,
        installation: &Installation,
        pg_data: &Path,
        port: u16,
        log: File,
    ) -> io::Result<Command> {
        let errors = log.try_clone()?;
        let mut command = self.launcher.command(&installation.postgres());
        command.arg("-D").arg(pg_data);
        for setting in self.settings(port) {
            command.arg("-c").arg(setting);
        }
        // In a group of its own, so that Ctrl-C reaches this process alone and the server is ended in
        // order, after the requests that still need it.
        command.process_group(0).stdout(log).stderr(errors);
        Ok(command)
    }

    fn settings(&self, port: u16) -> Vec<OsString> {
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
                format!("port={port}"),
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
                // Short statements gain nothing from compilation and pay for it. Its library is loaded late, too.
                "jit=off".to_owned(),
                PRELOADED.to_owned(),
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

/// The last lines that a log has gained since a position.
pub(super) fn log_tail(log: &Path, start: u64) -> String {
    const LINES: usize = 20;
    const BYTES: u64 = 16 * 1024;
    let mut content = Vec::new();
    let read = File::open(log).and_then(|mut log| {
        let end = log.metadata()?.len();
        log.seek(SeekFrom::Start(start.max(end.saturating_sub(BYTES))))?;
        log.read_to_end(&mut content)
    });
    if let Err(error) = read {
        return format!("(the log cannot be read: {error})");
    }
    let text = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
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
) -> Result<(), EmbeddedPostgresError> {
    let unfinished = layout.new_unfinished()?;
    let made = match make_in(&unfinished, installation, launcher, durability, password, &mut || true) {
        Err(error) => {
            remove_tree(&unfinished)?;
            return Err(error);
        }
        Ok(made) => made,
    };
    fs::rename(&made, layout.pg_data()).map_err(files("rename", &made))?;
    sync_directory(&layout.data_dir)?;
    remove_tree(&unfinished)
}

/// Makes a cluster in a new directory, and returns where it is. After an error, what is there is the caller's to remove.
pub(super) fn make_in(
    directory: &Path,
    installation: &Installation,
    launcher: &Launcher,
    durability: Durability,
    password: &Password,
    go_on: GoOn<'_>,
) -> Result<PathBuf, EmbeddedPostgresError> {
    DirBuilder::new().mode(0o700).create(directory).map_err(files("create", directory))?;
    // A copy for initdb, which runs as the cluster's owner and may not be able to read the original.
    let password_copy = directory.join("password");
    write_private(&password_copy, password.reveal()).map_err(files("write", &password_copy))?;
    launcher.give(&password_copy)?;
    launcher.give(directory)?;

    let made = directory.join("cluster");
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
    let output = bounded::run(&mut command, INITDB_LIMIT, go_on)
        .map_err(|source| EmbeddedPostgresError::Spawn { program, source })?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EmbeddedPostgresError::Initdb { output });
    }
    Ok(made)
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}
