//! The threads that connections are served on, and what each of them has of its own.
//!
//! A connection, its posts and their writer share one thread. So nothing that a post waits for has to be carried from one
//! thread to another, nor a thread be woken for it. Other requests are answered elsewhere.
//! [What that is worth](../../../docs/decisions/0062-a-runtime-for-each-processor.md).

use std::convert::Infallible;
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use tokio::runtime::{self, Builder, Handle};
use tokio_util::sync::CancellationToken;

/// How often a thread has memory looked through that it has freed, and for how long it holds what makes that happen.
const TIDYING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(50));
/// What it asks for then, in bytes. Nothing is written there, so it takes no memory.
const ASKED_FOR: [usize; 4] = [64 << 10, 256 << 10, 1 << 20, 4 << 20];

/// Threads that serve, at least one. Clones are the same threads.
#[derive(Clone, Debug)]
pub struct Threads(Arc<[Handle]>);

/// Ends the threads when it is dropped, and what still runs on them.
#[derive(Debug)]
pub struct RunningThreads {
    threads: Threads,
    stop: CancellationToken,
}

impl Threads {
    /// The runtime of the caller, whatever its threads: as one.
    pub fn of_caller() -> Self {
        Self(Arc::new([Handle::current()]))
    }

    /// Starts a thread for each processor that this process may use. Errors: as of [`Threads::start`].
    pub fn start_for_processors() -> io::Result<RunningThreads> {
        Self::start(Self::for_processors())
    }

    /// How many these are.
    pub fn for_processors() -> NonZeroUsize {
        thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// Starts so many threads. Errors: the system's, where it has no room for them.
    pub fn start(count: NonZeroUsize) -> io::Result<RunningThreads> {
        let stop = CancellationToken::new();
        // Whoever fails drops it, and those that were started end.
        let guard = stop.clone().drop_guard();
        let threads = (0..count.get()).map(|number| start_one(number, stop.clone())).collect::<io::Result<_>>()?;
        guard.disarm();
        Ok(RunningThreads { threads: Self(threads), stop })
    }

    /// Their runtimes, in the order of their numbers.
    pub fn runtimes(&self) -> &[Handle] {
        &self.0
    }
}

impl RunningThreads {
    /// The threads.
    pub const fn threads(&self) -> &Threads {
        &self.threads
    }
}

impl Drop for RunningThreads {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start_one(number: usize, stop: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = async move {
        tokio::select! {
            () = stop.cancelled() => {}
            never = give_memory_back() => match never {},
        }
    };
    thread::Builder::new().name(format!("serve-{number}")).spawn(move || runtime.block_on(run))?;
    Ok(handle)
}

/// What a thread has freed goes back to the system only where that thread frees something again, a moment later. One that
/// has become idle would hold it for good.
async fn give_memory_back() -> Infallible {
    let (pause, moment) = TIDYING;
    loop {
        tokio::time::sleep(pause).await;
        let asked_for = black_box(ASKED_FOR.map(Vec::<u8>::with_capacity));
        tokio::time::sleep(moment).await;
        drop(asked_for);
    }
}

/// One of a kind for each thread. Clones share them.
#[derive(Clone, Debug)]
pub struct PerThread<T>(Arc<[(runtime::Id, T)]>);

impl<T> PerThread<T> {
    /// Makes one for each, by the thread's number.
    pub fn new(threads: &Threads, make: impl Fn(usize) -> T) -> Self {
        Self(threads.0.iter().enumerate().map(|(number, runtime)| (runtime.id(), make(number))).collect())
    }

    /// The one of the thread that asks. Who is on none of them gets the first one's.
    pub fn here(&self) -> &T {
        let here = Handle::try_current().ok().map(|runtime| runtime.id());
        let own = self.0.iter().find(|(id, _)| Some(*id) == here);
        &own.unwrap_or(&self.0[0]).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroUsize = NonZeroUsize::new(3).unwrap();

    #[tokio::test]
    async fn each_thread_has_its_own_and_who_is_on_none_has_the_first_ones() {
        let running = Threads::start(THREE).unwrap();
        let numbers = PerThread::new(running.threads(), |number| number);
        for (number, runtime) in running.threads().runtimes().iter().enumerate() {
            let (numbers, name) = (numbers.clone(), format!("serve-{number}"));
            let asked = runtime.spawn(async move { (*numbers.here(), thread::current().name().map(str::to_owned)) });
            assert_eq!(asked.await.unwrap(), (number, Some(name)));
        }
        assert_eq!(*numbers.here(), 0);
        assert_eq!(*thread::scope(|scope| scope.spawn(|| numbers.here()).join().unwrap()), 0);
    }

    #[tokio::test]
    async fn what_runs_on_threads_ends_with_them_and_a_panic_does_not_end_them() {
        let running = Threads::start(THREE).unwrap();
        let runtimes = running.threads().runtimes().to_vec();
        assert!(runtimes[1].spawn(async { panic!("a bug") }).await.unwrap_err().is_panic());
        assert_eq!(runtimes[1].spawn(async { 1 }).await.unwrap(), 1);
        let endless = runtimes.iter().map(|runtime| runtime.spawn(std::future::pending::<()>()));
        let endless: Vec<_> = endless.collect();
        drop(running);
        for task in endless {
            assert!(task.await.unwrap_err().is_cancelled());
        }
    }

    #[tokio::test]
    async fn the_callers_runtime_is_one_thread() {
        let threads = Threads::of_caller();
        let numbers = PerThread::new(&threads, |number| number);
        assert_eq!((threads.runtimes().len(), *numbers.here()), (1, 0));
    }
}
