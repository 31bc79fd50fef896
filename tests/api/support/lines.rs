//! Log lines as tests look for them.

use std::time::Duration;

use serde_json::Value;

use super::logs;

/// What every line of a request has, null or not, and nothing else.
pub const LINE_FIELDS: [&str; 22] = [
    "timestamp",
    "level",
    "request_id",
    "trace_id",
    "function",
    "stage",
    "method",
    "route",
    "principal",
    "status",
    "latency_ms",
    "error_code",
    "fault",
    "upstream_status",
    "upstream_latency_ms",
    "upstream_evidence",
    "attribution",
    "retries",
    "idempotency",
    "read_from",
    "read_fallback",
    "error",
];

/// The one log line of a request.
pub fn line(request_id: &str) -> Value {
    logs::line(request_id).expect("the line is written before the reply is sent")
}

/// All log lines of a request.
pub fn lines_of(request_id: &str) -> Vec<Value> {
    logs::lines(request_id)
}

/// The one log line that says `text`, whose request has no id that the test knows.
pub fn line_with(text: &str) -> Value {
    let lines = logs::lines_with(text);
    let [line] = lines.as_slice() else { panic!("{text} is in {} lines: {lines:?}", lines.len()) };
    line.clone()
}

/// Waits until as many log lines say `text`, whose requests have no id that the test knows.
pub async fn wait_for_lines(text: &str, count: usize) {
    for _ in 0..2000 {
        if logs::lines_with(text).len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{text} is in {} lines", logs::lines_with(text).len());
}

/// The line of a request that got no reply, as soon as the server notices.
pub async fn wait_for_line(request_id: &str) -> Value {
    for _ in 0..500 {
        if let Some(line) = logs::line(request_id) {
            return line;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("request {request_id} left no line");
}
