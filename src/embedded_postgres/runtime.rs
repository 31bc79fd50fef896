//! Runs a little asynchronous code from blocking code, wherever that is called from.

use super::bounded::GoOn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, panic, thread};
use tokio::runtime::Builder;
use tokio::time::timeout;

/// How often it is asked whether a future is worth waiting on.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

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

/// Runs a future to its end within a limit, and for as long as `go_on` says so.
pub(super) fn block_on_within<T, F>(
    limit: Duration,
    go_on: GoOn<'_>,
    make_future: impl FnOnce() -> F + Send,
) -> io::Result<T>
where
    T: Send,
    F: Future<Output = T>,
{
    let given_up = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = thread::Builder::new().spawn_scoped(scope, || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let bounded = timeout(limit, make_future());
                let mut bounded = pin!(bounded);
                loop {
                    match timeout(POLL_INTERVAL, bounded.as_mut()).await {
                        Ok(Ok(value)) => return Ok(value),
                        Ok(Err(_late)) => return Err(io::ErrorKind::TimedOut.into()),
                        Err(_) if given_up.load(Ordering::Relaxed) => return Err(io::ErrorKind::Interrupted.into()),
                        Err(_) => {}
                    }
                }
            })
        })?;
        while !worker.is_finished() {
            if !go_on() {
                given_up.store(true, Ordering::Relaxed);
            }
            thread::sleep(POLL_INTERVAL);
        }
        worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_future_is_given_up_at_its_limit_or_when_nobody_wants_it_any_more() {
        let forever = std::future::pending::<()>;
        let late = block_on_within(Duration::from_millis(50), &mut || true, forever).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let unwanted = block_on_within(Duration::from_hours(1), &mut || false, forever).unwrap_err();
        assert_eq!(unwanted.kind(), io::ErrorKind::Interrupted);
        assert_eq!(block_on_within(Duration::from_hours(1), &mut || true, async || 7).unwrap(), 7);
    }
}
