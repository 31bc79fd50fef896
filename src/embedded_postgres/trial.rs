//! Tries programs out before the running ones are ended for them: they have to make a cluster, and to start a server on
//! it with the very settings, libraries included, that the real one has.

use super::binaries::Installation;
use super::cluster::{Cluster, log_tail, make_in};
use super::layout::remove_tree;
use super::server::{Server, Waited};
use super::settings::Durability;
use super::socket_dir::TRIAL_PORT;
use super::stop::StopAsked;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

/// How long the server of a trial may take to become ready.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Where `pg_control` says what a server must be to read the cluster: the versions of the file and of the catalog. The
/// place has been the same since PostgreSQL 8.
const VERSIONS: std::ops::Range<usize> = 8..16;

/// Why programs cannot take the place of the running ones.
pub(super) enum Unfit {
    /// In words for the operator, without a full stop.
    Because(String),
    /// Nothing was learned, because the supervisor is to end.
    StopAsked,
}

/// Makes a cluster with these programs, and runs a server on it until it is ready. Nothing of the real cluster is touched.
pub(super) fn try_out(cluster: &Cluster, programs: &Installation, stop: &StopAsked) -> Result<(), Unfit> {
    let directory = cluster.layout.new_unfinished().map_err(because)?;
    let outcome = run(cluster, programs, &directory, stop);
    let cleaned = remove_tree(&directory);
    outcome.and(cleaned.map_err(because))
}

fn run(cluster: &Cluster, programs: &Installation, directory: &Path, stop: &StopAsked) -> Result<(), Unfit> {
    let go_on = &mut || !stop.is_asked();
    let made = make_in(directory, programs, &cluster.launcher, Durability::Disposable, &cluster.password, go_on);
    if stop.is_asked() {
        return Err(Unfit::StopAsked);
    }
    let pg_data = made.map_err(because)?;
    if versions(&pg_data) != versions(&cluster.pg_data()) {
        let reason = "they write another format of clusters, as a preliminary release does";
        return Err(Unfit::Because(reason.to_owned()));
    }
    let log = directory.join("log");
    let child = File::create(&log)
        .and_then(|file| cluster.command_on(programs, &pg_data, TRIAL_PORT, file)?.spawn())
        .map_err(|error| Unfit::Because(format!("they cannot be run: {error}")))?;
    let mut server = Server::Child(child);
    let waited = server.ready_within(&pg_data, READY_LIMIT, stop);
    server.shut_down(&pg_data, stop.by()).map_err(because)?;
    match waited {
        Waited::Ready => Ok(()),
        Waited::StopAsked => Err(Unfit::StopAsked),
        Waited::Ended(ending) => {
            Err(Unfit::Because(format!("a trial server {ending}; it said: {}", log_tail(&log, 0))))
        }
        Waited::TooLate => Err(Unfit::Because(format!(
            "a trial server was not ready within {} s; it said: {}",
            READY_LIMIT.as_secs(),
            log_tail(&log, 0)
        ))),
    }
}

fn versions(pg_data: &Path) -> Option<Vec<u8>> {
    Some(fs::read(pg_data.join("global/pg_control")).ok()?.get(VERSIONS)?.to_vec())
}

fn because(error: impl std::fmt::Display) -> Unfit {
    Unfit::Because(error.to_string())
}
