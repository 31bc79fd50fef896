//! What operators have switched off, as this process knows it.
//!
//! The slice `operations` reads the switches from the database and sets them here. Whoever is
//! governed by a switch asks it before each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Switch {
    /// Trackers' posts.
    Ingest,
    /// Folding.
    Relay,
    /// Backfill jobs.
    Backfill,
    /// Removing what is past its retention.
    Retention,
}

impl Switch {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Relay, Self::Backfill, Self::Retention];

    /// As stored and in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Relay => "relay",
            Self::Backfill => "backfill",
            Self::Retention => "retention",
        }
    }

    /// The inverse of [`Switch::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|switch| switch.as_str() == text)
    }

    /// Until the switches have been read: what rewrites or removes waits, what serves trackers and dashboards runs.
    const fn at_start(self) -> bool {
        matches!(self, Self::Ingest | Self::Relay)
    }
}

/// The switches of this process. Where they cannot be read they stay as they were.
#[derive(Clone, Debug)]
pub struct Switches(Arc<[AtomicBool; 4]>);

impl Switches {
    /// As they are before the first reading.
    pub fn at_start() -> Self {
        Self(Arc::new(Switch::ALL.map(|switch| AtomicBool::new(switch.at_start()))))
    }

    /// Whether it may run.
    pub fn is_on(&self, switch: Switch) -> bool {
        self.0[switch as usize].load(Ordering::Relaxed)
    }

    /// What was read.
    pub fn set(&self, switch: Switch, is_on: bool) {
        self.0[switch as usize].store(is_on, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_they_are_read_nothing_rewrites_or_removes() {
        let switches = Switches::at_start();
        assert_eq!(Switch::ALL.map(|switch| switches.is_on(switch)), [true, true, false, false]);
    }

    #[test]
    fn a_switch_is_set_for_all_holders_and_no_other_switch_with_it() {
        let switches = Switches::at_start();
        let held = switches.clone();
        for switch in Switch::ALL {
            switches.set(switch, !held.is_on(switch));
        }
        assert_eq!(Switch::ALL.map(|switch| held.is_on(switch)), [false, false, true, true]);
    }

    #[test]
    fn names_are_read_back_and_others_are_not() {
        assert!(Switch::ALL.iter().all(|switch| Switch::parse(switch.as_str()) == Some(*switch)));
        assert_eq!(Switch::parse("Ingest"), None);
    }
}
