//! What can go wrong with the private cluster. Every message says what the person at the keyboard can do.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Why the private PostgreSQL could not be started, joined or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedPostgresError {
    /// Another process holds the data directory. Two servers on one directory would corrupt it.
    #[error(
        "{} is already using the data directory {}; stop it first, or point HALFHOUR_DATA_DIR at another directory",
        Holder(*.pid),
        .data_dir.display()
    )]
    AlreadyRunning {
        /// The process that holds the directory; `None` in the instant before it has written its id.
        pid: Option<u32>,
        /// The directory in question, as an absolute path.
        data_dir: PathBuf,
    },

    /// A file or directory under the data directory could not be used.
    #[error(
        "cannot {action} {}: {source}; check the free space, and that this user owns the data directory, or point HALFHOUR_DATA_DIR at one that it may write to",
        .path.display()
    )]
    Files {
        /// What was tried, as a verb.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// There is no PostgreSQL on this machine and none could be downloaded.
    #[error(
        "no PostgreSQL {oldest} or newer was found on this machine, and downloading one failed ({download}). \
         Three ways out: install PostgreSQL {oldest} or newer; or set DATABASE_URL to a PostgreSQL that already runs; \
         or allow this machine to reach github.com and start again"
    )]
    NoPostgres {
        /// The oldest major version that will do.
        oldest: u32,
        /// Why the download failed.
        download: String,
    },

    /// The cluster on disk was made by another major version than the programs at hand.
    #[error(
        "the cluster {} was created by PostgreSQL {cluster}, but {}, and downloading PostgreSQL {cluster} failed ({download}). \
         Install PostgreSQL {cluster}, or move the directory away to start with an empty database",
        .pg_data.display(),
        Found(.found)
    )]
    VersionMismatch {
        /// The cluster's directory.
        pg_data: PathBuf,
        /// The major version in its `PG_VERSION`.
        cluster: u32,
        /// The major versions found on this machine.
        found: Vec<u32>,
        /// Why the right one could not be downloaded.
        download: String,
    },

    /// The cluster on disk is older than anything this server supports.
    #[error(
        "the cluster {} was created by PostgreSQL {cluster}, but PostgreSQL {oldest} or newer is needed; \
         upgrade it with pg_upgrade, or move the directory away to start with an empty database",
        .pg_data.display()
    )]
    ClusterTooOld {
        /// The cluster's directory.
        pg_data: PathBuf,
        /// The content of its `PG_VERSION`.
        cluster: String,
        /// The oldest major version that will do.
        oldest: u32,
    },

    /// The cluster's directory holds something that is not a cluster.
    #[error(
        "{} is not empty but is no PostgreSQL cluster (it has no PG_VERSION); move it away and start again, or restore it from a backup",
        .pg_data.display()
    )]
    NotACluster {
        /// The cluster's directory.
        pg_data: PathBuf,
    },

    /// The cluster exists but the password of its only user is gone.
    #[error(
        "the password file {} is missing or empty, and the cluster beside it cannot be opened without it; restore the file from a backup",
        .path.display()
    )]
    PasswordMissing {
        /// Where the file should be.
        path: PathBuf,
    },

    /// The password is not that of the cluster's user.
    #[error(
        "the cluster refuses the password in {}; put the file back that was made with the cluster, from the same backup",
        .path.display()
    )]
    WrongPassword {
        /// Where the password is.
        path: PathBuf,
    },

    /// Something emptied the file that says which PostgreSQL made the cluster.
    #[error(
        "{} is empty, as a full disk or a crash of the machine may leave it; write the major version into it of the \
         PostgreSQL that made the cluster, such as 17, or restore the cluster from a backup",
        .version_file.display()
    )]
    VersionEmpty {
        /// The file.
        version_file: PathBuf,
    },

    /// No directory for the server's socket can be made.
    #[error(
        "no directory for the private PostgreSQL's socket can be made in {}: {source}; point TMPDIR at a directory that \
         exists and that this user may write to",
        .parent.display()
    )]
    SocketDir {
        /// Where it was tried.
        parent: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// Nobody wanted the server any more before it was ready.
    #[error("stopped before the private PostgreSQL was ready")]
    Interrupted,

    /// PostgreSQL refuses to run as root and no other user can be taken on.
    #[error(
        "PostgreSQL does not run as root, and its programs cannot be run as another user ({reason}); \
         start halfhour as an ordinary user, or set DATABASE_URL to a PostgreSQL that already runs"
    )]
    CannotLeaveRoot {
        /// What stood in the way.
        reason: String,
    },

    /// A PostgreSQL program could not be started at all.
    #[error("cannot run {}: {source}; reinstall PostgreSQL, or set DATABASE_URL to one that already runs", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// `initdb` failed. Nothing is left behind, so it is safe to start again.
    #[error("creating the cluster failed; put right what initdb says and start again:\n{output}")]
    Initdb {
        /// What it said.
        output: String,
    },

    /// The server ended, or did not become ready in time.
    #[error("PostgreSQL {what}; put right what {} says and start again. Its end:\n{tail}", .log.display())]
    NotReady {
        /// What happened.
        what: String,
        /// The server's log.
        log: PathBuf,
        /// The last lines of this attempt.
        tail: String,
    },

    /// A server from an earlier run is alive and neither ends nor becomes ready.
    #[error(
        "a PostgreSQL from an earlier run (process {pid}) is still busy with {}; wait for it, or end it with `kill -QUIT {pid}`, and start again",
        .pg_data.display()
    )]
    Lingering {
        /// The process in the way.
        pid: u32,
        /// The cluster's directory.
        pg_data: PathBuf,
    },

    /// The other process holds the directory, but its cluster does not become ready.
    #[error(
        "{} holds the data directory {} but its PostgreSQL did not become ready; look at its log and at {}",
        Holder(*.pid),
        .data_dir.display(),
        .log.display()
    )]
    NotJoinable {
        /// The process that holds the directory.
        pid: Option<u32>,
        /// The directory in question.
        data_dir: PathBuf,
        /// The server's log.
        log: PathBuf,
    },

    /// The server is up but does not let us in.
    #[error("the private PostgreSQL runs but cannot be used: {source}; its log is {}", .log.display())]
    Connect {
        /// The driver's answer.
        source: sqlx::Error,
        /// The server's log.
        log: PathBuf,
    },

    /// The server outlived every way of ending it.
    #[error("PostgreSQL (process {pid}) did not end; end it with `kill -QUIT {pid}` before the next start")]
    NotStopped {
        /// The process that is left.
        pid: u32,
    },

    /// The machine ran out of something that a thread or a runtime needs.
    #[error("cannot start a helper thread: {0}; free memory or raise the process limit and start again")]
    Thread(#[source] io::Error),
}

/// Names the process that holds a directory, as well as it is known.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(formatter, "process {pid}"),
            None => formatter.write_str("another process"),
        }
    }
}

/// Says which major versions were found.
struct Found<'a>(&'a [u32]);

impl fmt::Display for Found<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("no PostgreSQL was found on this machine");
        }
        formatter.write_str("this machine has only PostgreSQL ")?;
        for (position, major) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(formatter, "{separator}{major}")?;
        }
        Ok(())
    }
}

/// Turns an I/O error into one that names the action and the path.
pub(super) fn files(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedPostgresError {
    move |source| EmbeddedPostgresError::Files { action, path: path.to_owned(), source }
}
