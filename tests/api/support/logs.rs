//! The log of the whole test run, as the server writes it, to look lines up in.

use std::io::Write;
use std::sync::{Mutex, Once, PoisonError};

use halfhour::telemetry;
use serde_json::Value;

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts collecting, once.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(telemetry::subscriber("info", || Sink)).unwrap();
    });
}

/// The one line of a request, if it is written yet.
pub fn line(request_id: &str) -> Option<Value> {
    let lines = lines(request_id);
    assert!(lines.len() <= 1, "request {request_id} has {} lines: {lines:?}", lines.len());
    lines.into_iter().next()
}

/// All lines of a request: a stream that was cut off has a second one.
pub fn lines(request_id: &str) -> Vec<Value> {
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&log);
    text.lines()
        .filter(|line| line.contains(request_id))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["request_id"] == request_id)
        .collect()
}
