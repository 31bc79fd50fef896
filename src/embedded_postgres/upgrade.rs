//! An ordinary upgrade of PostgreSQL puts new programs in place of those that run. This notices it, tries the new ones
//! out, and finds the moment at which the server may be ended for them.

use super::binaries::Installation;
use super::cluster::Cluster;
use super::connection::{checkpoint, connect_options, is_busy, library_directory};
use super::layout::GuestLock;
use super::programs::{FileIdentity, ProgramFiles, Programs};
use super::server::Server;
use super::sightings::{Misfit, Next, Sightings};
use super::socket_dir::PORT;
use super::stop::StopAsked;
use super::trial::{Unfit, try_out};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// After this long a restart waits for no quiet moment any more.
pub const RESTART_AT_LATEST: Duration = Duration::from_hours(1);

/// How often the programs are looked at, which asks the file system for two files.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// For how long a checkpoint leaves the next one little to write.
const CHECKPOINT_HOLDS: Duration = Duration::from_secs(30);

/// How the names of libraries end, by system and version.
const LIBRARY_ENDINGS: [&str; 2] = ["so", "dylib"];

/// The programs to restart with, now. While this is held no command joins the cluster.
pub(super) struct Handover {
    pub(super) successor: Installation,
    pub(super) guests: Option<GuestLock>,
}

/// Follows the programs of one cluster.
pub(super) struct UpgradeKeeper {
    programs: Programs,
    running: ProgramFiles,
    /// Where the running server took PL/pgSQL from.
    library: Option<PathBuf>,
    sightings: Sightings,
    looked: Instant,
    checkpointed: Option<Instant>,
}

impl UpgradeKeeper {
    pub(super) fn new(programs: Programs) -> Self {
        Self {
            programs,
            running: ProgramFiles::default(),
            library: None,
            sightings: Sightings::default(),
            looked: Instant::now(),
            checkpointed: None,
        }
    }

    /// The program that a start would run: to be asked before it, so that what replaces it meanwhile counts as an upgrade.
    pub(super) fn program_to_start(cluster: &Cluster) -> Option<FileIdentity> {
        FileIdentity::of(&cluster.installation.postgres())
    }

    /// Whether other programs lie on disk than those that ran last.
    pub(super) fn are_others_on_disk(&self, cluster: &Cluster) -> bool {
        FileIdentity::of(&cluster.installation.found_postgres()) != self.running.server
    }

    /// A server runs: one that was just started from `program`, or one that was taken over.
    pub(super) fn started(
        &mut self,
        cluster: &Cluster,
        server: &Server,
        program: Option<FileIdentity>,
        stop: &StopAsked,
    ) {
        let server = match server {
            Server::Child(_) => program,
            // Its own program, even where the file has another one's name by now.
            Server::Adopted(pid) => {
                FileIdentity::of(Path::new(&format!("/proc/{}/exe", pid.as_raw_nonzero()))).or(program)
            }
        };
        let options = connect_options(&cluster.socket_dir, PORT, &cluster.password);
        let directory = library_directory(&options, &mut || !stop.is_asked());
        self.library = directory.and_then(|directory| {
            LIBRARY_ENDINGS
                .iter()
                .map(|ending| directory.join("plpgsql").with_extension(ending))
                .find(|library| library.is_file())
        });
        self.running = ProgramFiles { server, library: self.library.as_deref().and_then(FileIdentity::of) };
        self.checkpointed = None;
        self.programs.runs(&cluster.installation.version);
        // A server that died may have been started again by the old programs, from where they still lie.
        if self.on_disk(cluster) == self.running {
            self.sightings.restarted();
        }
        self.programs.tell(self.sightings.upgrade());
    }

    fn on_disk(&self, cluster: &Cluster) -> ProgramFiles {
        ProgramFiles {
            server: FileIdentity::of(&cluster.installation.found_postgres()),
            library: self.library.as_deref().and_then(FileIdentity::of),
        }
    }

    /// Looks after the programs now and then. Returns what to restart with, where this is the moment.
    pub(super) fn tend(&mut self, cluster: &Cluster, stop: &StopAsked) -> Option<Handover> {
        if self.looked.elapsed() < LOOK_INTERVAL {
            return None;
        }
        self.looked = Instant::now();
        let next = self.sightings.look(&self.running, self.on_disk(cluster), self.looked);
        let handover = match next {
            Next::Nothing => None,
            Next::TryOut => {
                if let Some(outcome) = judge(cluster, stop) {
                    self.sightings.tried(outcome, &cluster.installation.version, Instant::now());
                }
                None
            }
            Next::Restart(successor, waited) => self.handover(cluster, stop, successor, waited),
        };
        self.programs.tell(self.sightings.upgrade());
        handover
    }

    fn handover(
        &mut self,
        cluster: &Cluster,
        stop: &StopAsked,
        successor: Installation,
        waited: Duration,
    ) -> Option<Handover> {
        let is_quiet = self.programs.is_quiet()?;
        let is_late = waited >= RESTART_AT_LATEST;
        let guests = GuestLock::alone(&cluster.layout).ok().flatten();
        let options = connect_options(&cluster.socket_dir, PORT, &cluster.password);
        let mut go_on = || !stop.is_asked();
        if !is_late && (!is_quiet || guests.is_none() || is_busy(&options, &mut go_on)) {
            return None;
        }
        if self.checkpointed.is_none_or(|at| at.elapsed() >= CHECKPOINT_HOLDS) {
            if !checkpoint(&options, &mut go_on) && !is_late {
                return None;
            }
            self.checkpointed = Some(Instant::now());
        }
        // The checkpoint took its time, and somebody may have come.
        let is_moment = is_late || self.programs.is_quiet() == Some(true);
        (is_moment && go_on()).then_some(Handover { successor, guests })
    }
}

/// Whether the programs on disk can take the place of the running ones. `None` where the supervisor is to end.
fn judge(cluster: &Cluster, stop: &StopAsked) -> Option<Result<Installation, Misfit>> {
    let running = &cluster.installation;
    let successor = running.successor(&cluster.layout.data_dir);
    let fitting = successor.as_ref().filter(|found| found.major == running.major);
    let reason = match fitting.map(|found| try_out(cluster, found, stop)) {
        Some(Ok(())) => return successor.map(Ok),
        Some(Err(Unfit::StopAsked)) => return None,
        Some(Err(Unfit::Because(reason))) => reason,
        None => no_programs(running, successor.as_ref()),
    };
    Some(Err(misfit(running, successor, &reason)))
}

/// Why there is nothing that could be tried out.
fn no_programs(running: &Installation, found: Option<&Installation>) -> String {
    match found {
        Some(found) => format!(
            "PostgreSQL {} is there now, which cannot read what PostgreSQL {} has written",
            found.major, running.major
        ),
        None => "what is there now does not run".to_owned(),
    }
}

fn misfit(running: &Installation, found: Option<Installation>, reason: &str) -> Misfit {
    let (major, place) = (running.major, running.place.display());
    let detail = format!(
        "The programs of PostgreSQL {major} in {place} are not those that run any more, and cannot be used: {reason}. \
         The old ones go on, but could not be started again. Install PostgreSQL {major} once more, and do not restart \
         halfhour before. The rest happens by itself."
    );
    Misfit { version: found.map(|found| found.version), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(major: u32) -> Installation {
        let place = PathBuf::from("/usr/lib/postgresql/15/bin");
        Installation { bin_dir: place.clone(), place, major, version: format!("{major}.1") }
    }

    #[test]
    fn another_major_version_and_missing_programs_are_named_with_the_way_out() {
        let running = installation(15);
        let reason = no_programs(&running, Some(&installation(16)));
        let other = misfit(&running, Some(installation(16)), &reason);
        for part in ["PostgreSQL 16 is there now", "PostgreSQL 15 has written", "Install PostgreSQL 15 once more"] {
            assert!(other.detail.contains(part), "{part} is missing from: {}", other.detail);
        }
        assert_eq!(other.version.as_deref(), Some("16.1"));
        let gone = misfit(&running, None, &no_programs(&running, None));
        assert!(gone.detail.contains("does not run") && gone.detail.contains("do not restart"), "{}", gone.detail);
        assert_eq!(gone.version, None);
    }
}
