//! The log of the whole test run, as the server writes it: to look lines up in, and to find what must never be in it.
//! Each line is judged as it is written; whoever stops a test's server hears of every line of any test so far.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use halfhour::app::telemetry;
use serde_json::Value;

static LOG: Log = Log::new();

/// What was written, and what is wrong with it.
pub struct Log {
    text: Mutex<Vec<u8>>,
    leaks: Mutex<Vec<String>>,
}

/// Writes into a log.
pub struct Sink(pub &'static Log);

impl Log {
    pub const fn new() -> Self {
        Self { text: Mutex::new(Vec::new()), leaks: Mutex::new(Vec::new()) }
    }

    /// Every line so far that shows a secret or a body.
    pub fn leaks(&self) -> Vec<String> {
        held(&self.leaks).clone()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        held(&self.0.text).extend_from_slice(bytes);
        if let Some(leak) = leak(&String::from_utf8_lossy(bytes)) {
            held(&self.0.leaks).push(leak);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says what a line shows that no log may show: a token, a link code, a request's body, or the server's key.
pub fn leak(line: &str) -> Option<String> {
    let words = || line.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_-".contains(letter)));
    let is_token = |word: &&str| {
        let starts = ["hhd_", "hhv_", "hho_"].iter().filter_map(|prefix| word.find(prefix));
        starts.min().is_some_and(|start| word.len() - start >= 24)
    };
    let is_code = |word: &&str| {
        let groups: Vec<&str> = word.split('-').collect();
        let is_group =
            |group: &&str| group.len() == 4 && group.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        groups.len() == 3 && groups.iter().all(is_group)
    };
    let is_body = line.contains(r#"hour_start\":"#) || line.contains(r#""hour_start":"#);
    let found = if words().any(|word| is_token(&word)) {
        "a token"
    } else if words().any(|word| is_code(&word)) {
        "a link code"
    } else if is_body {
        "a body"
    } else if line.contains(super::SERVER_SECRET) {
        "the server's key"
    } else {
        return None;
    };
    Some(format!("{found} is in the log: {line}"))
}

/// Starts collecting, once.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(telemetry::subscriber("info", || Sink(&LOG))).unwrap();
    });
}

/// Fails where any line of any test so far shows what it must not.
pub fn assert_no_leak() {
    assert_eq!(LOG.leaks(), Vec::<String>::new());
}

/// The one line of a request, if it is written yet.
pub fn line(request_id: &str) -> Option<Value> {
    let lines = lines(request_id);
    assert!(lines.len() <= 1, "request {request_id} has {} lines: {lines:?}", lines.len());
    lines.into_iter().next()
}

/// All lines of a request: a stream that was cut off has a second one.
pub fn lines(request_id: &str) -> Vec<Value> {
    lines_with(request_id).into_iter().filter(|line| line["request_id"] == request_id).collect()
}

/// All lines that a text is in, whoever they are of.
pub fn lines_with(text: &str) -> Vec<Value> {
    let log = held(&LOG.text);
    let log = String::from_utf8_lossy(&log);
    log.lines().filter(|line| line.contains(text)).filter_map(|line| serde_json::from_str(line).ok()).collect()
}
