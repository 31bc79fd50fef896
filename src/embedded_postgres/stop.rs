//! How the thread that runs the server hears that it is to end.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The supervisor's end of the line: nothing is ever sent, it only hangs up.
pub(super) struct StopAsked(Receiver<Infallible>);

impl StopAsked {
    pub(super) fn new(line: Receiver<Infallible>) -> Self {
        Self(line)
    }

    /// Waits, and says whether to stop.
    pub(super) fn within(&self, patience: Duration) -> bool {
        matches!(self.0.recv_timeout(patience), Err(RecvTimeoutError::Disconnected))
    }
}
