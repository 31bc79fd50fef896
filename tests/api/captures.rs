//! Calls of real trackers, as they were captured: sent again, and compared with what they must become and with how they
//! were answered.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::support::{Reply, TestApp, TestDevice};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dialects");

/// When the captured usage is recent.
pub const LATER: &str = "2026-11-29T00:00:00Z";

/// One call.
pub struct Capture {
    request: Map<String, Value>,
    pub answer: Value,
}

/// The call of that name.
pub fn capture(name: &str) -> Capture {
    let text = std::fs::read_to_string(format!("{FOLDER}/{name}.json")).unwrap();
    let mut call: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let Some(Value::Object(request)) = call.remove("request") else { panic!("{name} has no request") };
    Capture { request, answer: call["answer"]["body"].clone() }
}

impl Capture {
    pub fn body(&self) -> Value {
        self.request["body"].clone()
    }

    pub fn path(&self) -> &str {
        self.request["path"].as_str().unwrap()
    }

    /// The same call, with this token where there was one, and to this server.
    pub async fn replay(&self, app: &TestApp, token: &str) -> Reply {
        self.send(app, token, &self.request["body"]).await
    }

    /// The same call with another body, in the same encoding.
    pub async fn send(&self, app: &TestApp, token: &str, body: &Value) -> Reply {
        let query: Vec<String> = self.request["query"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let path = format!("{}?{}", self.path(), query.join("&"));
        let method = Method::from_bytes(self.request["method"].as_str().unwrap().as_bytes()).unwrap();
        let mut request = app.request(method, path.trim_end_matches('?'));
        let mut bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        for (name, value) in self.request["headers"].as_object().unwrap() {
            request = match name.as_str() {
                "authorization" => request.bearer(token),
                "content-encoding" => {
                    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
                    gzip.write_all(&bytes).unwrap();
                    bytes = gzip.finish().unwrap();
                    request.header(name, value.as_str().unwrap())
                }
                // What the test's own client asks for is enough.
                "accept-encoding" => request,
                _ => request.header(name, value.as_str().unwrap()),
            };
        }
        request.body(bytes).send().await
    }
}

/// A report whose body comes late.
pub struct Slow {
    sender: tokio::sync::oneshot::Sender<()>,
    answer: tokio::task::JoinHandle<Value>,
}

impl Slow {
    /// Begins, and waits until the server has begun to read.
    pub async fn begin(app: &TestApp, device: &TestDevice, (path, body): (&str, &Value)) -> Self {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (reading, begun) = tokio::sync::oneshot::channel();
        let body = Bytes::from(body.to_string());
        let body = Body::from_stream(stream::once(async move {
            let _ = reading.send(());
            receiver.await.unwrap();
            Ok::<_, std::io::Error>(body)
        }));
        let request = axum::http::Request::post(path).header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {}", device.token)).body(body).unwrap();
        let response = app.answering(request).await;
        let answer = tokio::spawn(async move {
            let body = axum::body::to_bytes(response.await.into_body(), usize::MAX).await.unwrap();
            serde_json::from_slice(&body).unwrap()
        });
        begun.await.unwrap();
        Self { sender, answer }
    }

    /// Sends the rest.
    pub async fn end(self) -> Value {
        self.sender.send(()).unwrap();
        self.answer.await.unwrap()
    }
}

/// The buckets that must stand after the body of that name, one a line, in the order of their text.
pub fn expected(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{FOLDER}/expected-buckets.txt")).unwrap();
    let heading = format!("# {name}.json total ");
    let mut lines = text.lines().skip_while(|line| !line.starts_with(&heading)).skip(1);
    let mut expected: Vec<String> =
        lines.by_ref().take_while(|line| !line.starts_with('#')).map(str::to_owned).collect();
    assert!(!expected.is_empty(), "{name} is not described");
    expected.sort();
    expected
}

/// What stands of a device, in the same words.
pub async fn standing(app: &TestApp, device: &TestDevice) -> Vec<String> {
    let mut standing = app
        .ask(&format!(
            "select concat_ws(' ', source, model, to_char(hour_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
                 'input=' || nullif(input_tokens, 0), 'cache_read=' || nullif(cache_read_tokens, 0),
                 'cache_write_5m=' || nullif(cache_write_5m_tokens, 0),
                 'cache_write_1h=' || nullif(cache_write_1h_tokens, 0), 'output=' || nullif(output_tokens, 0),
                 'reasoning=' || nullif(reasoning_tokens, 0), 'unclassified=' || nullif(unclassified_tokens, 0),
                 'total=' || total_tokens)
             from usage.bucket where device_id = '{}'",
            device.device_id
        ))
        .await;
    standing.sort();
    standing
}

/// What changes when anything of any bucket is written.
pub async fn traces(app: &TestApp) -> Vec<String> {
    let sql = "select concat_ws(' ', count(*), max(changed_at), sum(total_tokens), (select count(*) from usage.outbox))
               from usage.bucket";
    app.ask(sql).await
}

/// Whether an answer has every member of the captured one, of the same kind.
pub fn assert_shaped(found: &Value, captured: &Value) {
    match (found, captured) {
        (_, Value::Null) => {}
        (Value::Object(found), Value::Object(captured)) => {
            for (name, captured) in captured {
                let found = found.get(name).unwrap_or_else(|| panic!("{name} is missing of {found:?}"));
                assert_shaped(found, captured);
            }
        }
        (Value::Array(found), Value::Array(captured)) => {
            for (found, captured) in found.iter().zip(captured) {
                assert_shaped(found, captured);
            }
        }
        (found, captured) => {
            let kind = |value: &Value| (value.is_string(), value.is_number(), value.is_boolean());
            assert_eq!(kind(found), kind(captured), "{found} and {captured}");
        }
    }
}
