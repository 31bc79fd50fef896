//! Runs a little asynchronous code from blocking code, wherever that is called from.

use std::{io, panic, thread};
use tokio::runtime::Builder;

/// Runs a future to its end on a thread of its own, because a thread that already drives a runtime may
/// not start another.
pub(super) fn block_on<T, F>(make_future: impl FnOnce() -> F + Send) -> io::Result<T>
where
    T: Send,
    F: Future<Output = T>,
{
    thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            Ok(runtime.block_on(make_future()))
        })?;
        worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}
