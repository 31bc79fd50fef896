//! What has been seen of programs on disk that are not those that run, and what is to be done about them now.

use super::binaries::Installation;
use super::programs::{ProgramFiles, Upgrade, UpgradeState};
use std::time::{Duration, Instant, SystemTime};

/// For how long programs must lie still before they are taken for whole: packages replace file after file.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// How often programs that cannot be used are tried again: what they lack may lie elsewhere.
const TRIED_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Programs that cannot take the place of the running ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) version: Option<String>,
    /// Why, and what to do, in whole sentences.
    pub(super) detail: String,
}

/// What a look at the programs asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: they are those that run, or there is nothing new about them.
    Nothing,
    /// They have to be tried out.
    TryOut,
    /// They may be started, and have waited for so long.
    Restart(Installation, Duration),
}

/// Programs that differ from those that run.
#[derive(Debug)]
struct Sighting {
    files: ProgramFiles,
    /// Since when any others than those that run are there.
    since: SystemTime,
    unchanged_since: Instant,
    /// When they were last tried out, and what came of it. Fit ones are tried once.
    tried: Option<(Instant, Result<Installation, Misfit>)>,
}

/// Follows the programs over time, and says each thing about them once.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    current: Option<Sighting>,
    said: Option<Result<String, Misfit>>,
}

impl Sightings {
    /// Takes note of what lies on disk now.
    pub(super) fn look(&mut self, running: &ProgramFiles, on_disk: ProgramFiles, now: Instant) -> Next {
        if on_disk == *running {
            if self.current.take().is_some() {
                self.over("PostgreSQL's programs on disk are again those that run");
            }
            return Next::Nothing;
        }
        match &mut self.current {
            Some(sighting) if sighting.files == on_disk => match &sighting.tried {
                Some((at, Ok(successor))) => Next::Restart(successor.clone(), now.duration_since(*at)),
                Some((at, Err(_))) if now.duration_since(*at) < TRIED_AGAIN_AFTER => Next::Nothing,
                None if now.duration_since(sighting.unchanged_since) < SETTLED_AFTER => Next::Nothing,
                _ => Next::TryOut,
            },
            current => {
                let since = current.as_ref().map_or_else(SystemTime::now, |sighting| sighting.since);
                *current = Some(Sighting { files: on_disk, since, unchanged_since: now, tried: None });
                Next::Nothing
            }
        }
    }

    /// Takes note of what came of trying them out.
    pub(super) fn tried(&mut self, outcome: Result<Installation, Misfit>, running: &str, now: Instant) {
        let Some(sighting) = &mut self.current else {
            return;
        };
        let news = outcome.clone().map(|successor| successor.version);
        if self.said.as_ref() != Some(&news) {
            match &news {
                Ok(version) => tracing::warn!(
                    running,
                    on_disk = version,
                    "PostgreSQL was upgraded while it runs; it is restarted at a quiet moment"
                ),
                Err(misfit) => tracing::error!(
                    running,
                    on_disk = misfit.version,
                    detail = misfit.detail,
                    "PostgreSQL was upgraded while it runs, and the new programs cannot be used"
                ),
            }
            self.said = Some(news);
        }
        sighting.tried = Some((now, outcome));
    }

    /// Another server has been started, with what lay on disk then.
    pub(super) fn restarted(&mut self) {
        self.current = None;
        self.over("the upgraded PostgreSQL runs");
    }

    /// What the owner may know.
    pub(super) fn upgrade(&self) -> Option<Upgrade> {
        let Sighting { since, tried, .. } = self.current.as_ref()?;
        let (state, version, detail) = match tried {
            None => (UpgradeState::Settling, None, None),
            Some((_, Ok(successor))) => (UpgradeState::RestartWaits, Some(successor.version.clone()), None),
            Some((_, Err(misfit))) => (UpgradeState::Unusable, misfit.version.clone(), Some(misfit.detail.clone())),
        };
        Some(Upgrade { since: *since, state, version, detail })
    }

    /// Says that it is over, where anything was said.
    fn over(&mut self, words: &str) {
        if self.said.take().is_some() {
            tracing::info!("{words}: the upgrade is over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs::FileIdentity;
    use std::fs;
    use std::path::PathBuf;

    const SECOND: Duration = Duration::from_secs(1);

    /// Distinct files, to stand for programs.
    struct Files {
        directory: tempfile::TempDir,
    }

    impl Files {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap() }
        }

        fn programs(&self, name: &str) -> ProgramFiles {
            let path = self.directory.path().join(name);
            fs::write(&path, name).unwrap();
            ProgramFiles { server: FileIdentity::of(&path), library: None }
        }
    }

    fn installation(version: &str) -> Installation {
        let place = PathBuf::from("/usr/lib/postgresql/15/bin");
        Installation { bin_dir: place.clone(), place, major: 15, version: version.to_owned() }
    }

    fn misfit(detail: &str) -> Misfit {
        Misfit { version: None, detail: detail.to_owned() }
    }

    fn state(sightings: &Sightings) -> Option<UpgradeState> {
        sightings.upgrade().map(|upgrade| upgrade.state)
    }

    #[test]
    fn programs_are_tried_out_when_they_have_lain_still_and_then_wait_for_a_restart() {
        let files = Files::new();
        let (old, new, began) = (files.programs("old"), files.programs("new"), Instant::now());
        let mut sightings = Sightings::default();
        assert_eq!((sightings.look(&old, old, began), state(&sightings)), (Next::Nothing, None));
        assert_eq!(sightings.look(&old, new, began), Next::Nothing);
        assert_eq!(state(&sightings), Some(UpgradeState::Settling));
        let since = sightings.upgrade().unwrap().since;
        assert_eq!(sightings.look(&old, new, began + SETTLED_AFTER.saturating_sub(SECOND)), Next::Nothing);
        let settled = began + SETTLED_AFTER;
        assert_eq!(sightings.look(&old, new, settled), Next::TryOut);
        sightings.tried(Ok(installation("15.5")), "15.4", settled);
        assert_eq!(sightings.look(&old, new, settled + 7 * SECOND), Next::Restart(installation("15.5"), 7 * SECOND));
        let upgrade = sightings.upgrade().unwrap();
        assert_eq!((upgrade.since, upgrade.version.as_deref()), (since, Some("15.5")));
        sightings.restarted();
        assert_eq!((sightings.look(&new, new, settled), sightings.upgrade()), (Next::Nothing, None));
    }

    #[test]
    fn programs_that_go_on_changing_are_not_tried_out() {
        let files = Files::new();
        let (old, mut now) = (files.programs("old"), Instant::now());
        let mut sightings = Sightings::default();
        sightings.look(&old, files.programs("first"), now);
        let since = sightings.upgrade().unwrap().since;
        for round in 0..5 {
            let seen = files.programs(&format!("new {round}"));
            // In between nothing is there at all, and this is no reason to hurry either.
            for programs in [seen, ProgramFiles::default()] {
                assert_eq!(sightings.look(&old, programs, now), Next::Nothing);
                now += SETTLED_AFTER.saturating_sub(SECOND);
                assert_eq!(sightings.look(&old, programs, now), Next::Nothing, "round {round}");
            }
        }
        assert_eq!(sightings.upgrade().unwrap().since, since);
        assert_eq!(state(&sightings), Some(UpgradeState::Settling));
    }

    #[test]
    fn a_second_upgrade_before_the_restart_is_tried_out_anew() {
        let files = Files::new();
        let (old, new, newer) = (files.programs("old"), files.programs("new"), files.programs("newer"));
        let began = Instant::now();
        let mut sightings = Sightings::default();
        sightings.look(&old, new, began);
        let since = sightings.upgrade().unwrap().since;
        sightings.tried(Ok(installation("15.5")), "15.4", began);
        assert_eq!(sightings.look(&old, newer, began), Next::Nothing);
        assert_eq!(state(&sightings), Some(UpgradeState::Settling));
        let settled = began + SETTLED_AFTER;
        assert_eq!(sightings.look(&old, newer, settled), Next::TryOut);
        sightings.tried(Ok(installation("15.6")), "15.4", settled);
        assert_eq!(sightings.look(&old, newer, settled), Next::Restart(installation("15.6"), Duration::ZERO));
        assert_eq!(sightings.upgrade().unwrap().since, since);
    }

    #[test]
    fn programs_that_come_back_are_no_upgrade() {
        let files = Files::new();
        let (old, new, began) = (files.programs("old"), files.programs("new"), Instant::now());
        let mut sightings = Sightings::default();
        for outcome in [None, Some(Ok(installation("15.5"))), Some(Err(misfit("broken")))] {
            sightings.look(&old, new, began);
            if let Some(outcome) = outcome {
                sightings.tried(outcome, "15.4", began);
            }
            assert_eq!(sightings.look(&old, old, began), Next::Nothing);
            assert_eq!((sightings.upgrade(), &sightings.said), (None, &None));
        }
    }

    #[test]
    fn unusable_programs_are_tried_again_and_again_and_named_once() {
        let files = Files::new();
        let (old, new, began) = (files.programs("old"), files.programs("new"), Instant::now());
        let mut sightings = Sightings::default();
        sightings.look(&old, new, began);
        let mut now = began + SETTLED_AFTER;
        for _ in 0..3 {
            assert_eq!(sightings.look(&old, new, now), Next::TryOut);
            sightings.tried(Err(misfit("no room on the disk")), "15.4", now);
            assert_eq!(sightings.said, Some(Err(misfit("no room on the disk"))));
            assert_eq!(sightings.look(&old, new, now + TRIED_AGAIN_AFTER.saturating_sub(SECOND)), Next::Nothing);
            assert_eq!(sightings.upgrade().unwrap().detail.as_deref(), Some("no room on the disk"));
            now += TRIED_AGAIN_AFTER;
        }
        sightings.look(&old, new, now);
        sightings.tried(Ok(installation("15.5")), "15.4", now);
        assert_eq!(state(&sightings), Some(UpgradeState::RestartWaits));
    }
}
