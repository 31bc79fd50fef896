//! How the thread that runs the server hears that it is to end, and by when.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::interrupt::Interrupt;

/// How long a server has to end where nobody says by when, and where its start is interrupted.
pub(super) const PATIENCE: Duration = Duration::from_secs(12);
const HURRY: Duration = Duration::from_secs(5);

/// The supervisor's end of the line. Whoever hangs up without a word asks it to end, too.
pub(super) struct StopAsked {
    line: Receiver<Instant>,
    /// Ends a start that is under way.
    interrupt: Option<Interrupt>,
    /// By when the server is to be gone.
    by: Cell<Option<Instant>>,
}

impl StopAsked {
    pub(super) fn new(line: Receiver<Instant>, interrupt: Interrupt) -> Self {
        Self { line, interrupt: Some(interrupt), by: Cell::new(None) }
    }

    /// From here on the server is ended only when everything that uses it has ended.
    pub(super) fn started(&mut self) {
        self.interrupt = None;
    }

    /// Waits, and says whether to stop.
    pub(super) fn within(&self, patience: Duration) -> bool {
        match self.line.recv_timeout(patience) {
            Ok(time) => {
                self.by.set(Some(time));
                true
            }
            Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => self.by.get().is_some() || self.is_interrupted(),
        }
    }

    /// Whether to stop.
    pub(super) fn is_asked(&self) -> bool {
        self.within(Duration::ZERO)
    }

    /// By when a server is to be gone that is asked to end now.
    pub(super) fn by(&self) -> Instant {
        self.by.get().unwrap_or_else(|| Instant::now() + if self.interrupt.is_some() { HURRY } else { PATIENCE })
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(Interrupt::is_set)
    }
}
