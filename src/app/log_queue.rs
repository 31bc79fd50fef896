//! Lines on their way to standard output.
//!
//! Whoever logs only adds its line to what is waiting. A thread of its own writes what has come
//! together, all at once. A busy server therefore wakes that thread some fifty times a second, and
//! not for every line, and a standard output that nobody reads holds no request up.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that come so soon after the first one are written together with it.
const TOGETHER: Duration = Duration::from_millis(20);
/// So many bytes may wait. Lines for which there is no room are dropped and counted.
const MOST_WAITING: usize = 16 * 1024 * 1024;
/// A buffer that has become larger than this is given back.
const MOST_KEPT: usize = 256 * 1024;

/// Where lines wait. Clones share the place.
#[derive(Clone, Debug)]
pub(crate) struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    dropped: Arc<AtomicU64>,
    room: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    is_closed: bool,
}

impl LogQueue {
    /// A queue, and the thread that writes its lines to `output`. The thread ends once the queue is closed and empty.
    /// Errors: no thread can be had.
    pub(crate) fn start(output: impl Write + Send + 'static) -> io::Result<(Self, JoinHandle<()>)> {
        Self::with_room(MOST_WAITING, output)
    }

    fn with_room(room: usize, output: impl Write + Send + 'static) -> io::Result<(Self, JoinHandle<()>)> {
        let dropped = Arc::default();
        let shared = Arc::new(Shared { waiting: Mutex::default(), changed: Condvar::new(), dropped, room });
        let queue = Self(shared.clone());
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_all_to(output))?;
        Ok((queue, thread))
    }

    /// Lets the thread write what is waiting and end. What is logged afterwards is dropped and counted.
    pub(crate) fn close(&self) {
        self.0.waiting().is_closed = true;
        self.0.changed.notify_one();
    }

    /// How many lines were dropped so far.
    pub(crate) fn dropped(&self) -> &Arc<AtomicU64> {
        &self.0.dropped
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.is_closed || waiting.lines.len() + line.len() > self.room {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.changed.notify_one();
        }
    }

    fn write_all_to(&self, mut output: impl Write) {
        let mut lines = Vec::new();
        while self.take(&mut lines) {
            // Nobody can be told of an output that takes nothing any more.
            let _ = output.write_all(&lines).and_then(|()| output.flush());
            lines.clear();
            lines.shrink_to(MOST_KEPT);
        }
    }

    /// Waits for lines and swaps them for the empty `lines`. False once there will be none.
    fn take(&self, lines: &mut Vec<u8>) -> bool {
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.is_closed;
        let waiting = self.changed.wait_while(self.waiting(), nothing).unwrap_or_else(PoisonError::into_inner);
        let gathered = self.changed.wait_timeout_while(waiting, TOGETHER, |waiting| !waiting.is_closed);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut waiting.lines, lines);
        !lines.is_empty()
    }
}

impl<'queue> MakeWriter<'queue> for LogQueue {
    type Writer = Line<'queue>;

    fn make_writer(&'queue self) -> Line<'queue> {
        Line(&self.0)
    }
}

/// Takes one line, which comes whole.
pub(crate) struct Line<'queue>(&'queue Shared);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use super::*;

    /// An output that hands over what it is given, and waits for leave before it takes more.
    struct Piecewise {
        pieces: Sender<Vec<u8>>,
        leave: Option<Receiver<()>>,
    }

    impl Write for Piecewise {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.pieces.send(bytes.to_vec()).map_err(io::Error::other)?;
            self.leave.as_ref().map_or(Ok(()), Receiver::recv).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log(queue: &LogQueue, line: &str) {
        queue.make_writer().write_all(line.as_bytes()).unwrap();
    }

    fn dropped(queue: &LogQueue) -> u64 {
        queue.dropped().load(Ordering::Relaxed)
    }

    #[test]
    fn every_line_of_many_threads_is_written_once_whole_and_in_the_order_of_its_thread() {
        let (pieces, written) = channel();
        let (queue, thread) = LogQueue::start(Piecewise { pieces, leave: None }).unwrap();
        thread::scope(|scope| {
            for name in 0..8 {
                let queue = &queue;
                scope.spawn(move || (0..1000).for_each(|number| log(queue, &format!("{name} {number}\n"))));
            }
        });
        queue.close();
        thread.join().unwrap();
        let written = String::from_utf8(written.iter().flatten().collect()).unwrap();
        let numbers = |name: &str| -> Vec<usize> {
            written.lines().filter_map(|line| line.strip_prefix(name)?.parse().ok()).collect()
        };
        for name in 0..8 {
            assert_eq!(numbers(&format!("{name} ")), (0..1000).collect::<Vec<_>>());
        }
        assert_eq!((written.lines().count(), dropped(&queue)), (8000, 0));
    }

    #[test]
    fn a_line_is_written_soon_though_nothing_follows_it() {
        let (pieces, written) = channel();
        let (queue, _thread) = LogQueue::start(Piecewise { pieces, leave: None }).unwrap();
        for line in ["one\n", "two\n"] {
            log(&queue, line);
            assert_eq!(written.recv_timeout(Duration::from_secs(5)).unwrap(), line.as_bytes());
        }
    }

    #[test]
    fn an_output_that_takes_nothing_blocks_nobody_and_lines_without_room_are_counted() {
        let (pieces, written) = channel();
        let (leave, given) = channel();
        let (queue, thread) = LogQueue::with_room(10, Piecewise { pieces, leave: Some(given) }).unwrap();
        log(&queue, "first\n");
        assert_eq!(written.recv().unwrap(), b"first\n");
        let began = Instant::now();
        for line in ["12345678\n", "9\n", "\n", "more\n"] {
            log(&queue, line);
        }
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(dropped(&queue), 2, "of ten bytes nine and one are taken");
        queue.close();
        log(&queue, "\n");
        assert_eq!(dropped(&queue), 3, "nobody writes what comes after the end");
        leave.send(()).unwrap();
        leave.send(()).unwrap();
        thread.join().unwrap();
        assert_eq!(written.iter().flatten().collect::<Vec<_>>(), b"12345678\n\n");
    }
}
