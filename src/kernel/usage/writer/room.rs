//! The places of posts that wait or are being written.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Rows that may wait or be written; at the measured rate less than a second's work.
const ROWS: usize = 32_000;

/// Room for the writer's posts, in rows. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct WriterRoom(Arc<Semaphore>);

impl WriterRoom {
    /// Nobody has any of it.
    pub(super) fn empty() -> Self {
        Self(Arc::new(Semaphore::new(ROWS)))
    }

    /// Room for so many rows, until it is dropped; `None` where there is no more.
    pub(super) fn take(&self, rows: usize) -> Option<OwnedSemaphorePermit> {
        u32::try_from(rows).ok().and_then(|rows| self.0.clone().try_acquire_many_owned(rows).ok())
    }

    /// How many rows are free.
    pub(super) fn free(&self) -> usize {
        self.0.available_permits()
    }

    /// How many rows wait or are being written.
    pub(super) fn taken(&self) -> usize {
        ROWS - self.free()
    }
}
