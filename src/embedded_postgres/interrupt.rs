//! How a start that is under way is told that nobody wants it any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often asynchronous code looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Set once, from any thread. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ends the start, which cleans up behind itself.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Waits until it is set.
    pub(super) async fn is_given(&self) {
        while !self.is_set() {
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
