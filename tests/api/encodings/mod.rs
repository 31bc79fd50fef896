//! How bodies travel, on every route that takes one: compressed, over each other, marked, cut, or left unread.

mod codings;
mod members;
mod texts;
mod unread;

use std::io::Write as _;

use axum::body::Body;
use axum::http::{Method, Request};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{TestApp, TestDevice, TestUser};

/// A server with somebody of each kind.
struct House {
    app: TestApp,
    user: TestUser,
    device: TestDevice,
}

/// A request with a body that succeeds.
struct Sound {
    method: Method,
    path: &'static str,
    token: String,
    media_type: &'static str,
    body: Vec<u8>,
}

impl House {
    async fn start() -> Self {
        Self::furnish(TestApp::start().await).await
    }

    async fn furnish(app: TestApp) -> Self {
        let user = app.user("ann", "UTC").await;
        let device = app.device(&user, "laptop").await;
        Self { app, user, device }
    }

    /// A post of buckets, or a stream of lines, in chunks of this size.
    async fn send(&self, path: &str, key: &str, coding: &str, body: Vec<u8>, size: usize) -> (u16, Value, bool) {
        let (token, media_type) = match path {
            "/v1/buckets" => (&self.device.token, "application/json"),
            _ => (&self.user.operator, "application/x-ndjson"),
        };
        let chunks: Vec<_> = body.chunks(size.max(1)).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", media_type)
            .header("content-encoding", coding)
            .header("idempotency-key", key)
            .body(Body::from_stream(futures_util::stream::iter(chunks)))
            .unwrap();
        let response = self.app.answer(request).await;
        let (status, replayed) = (response.status().as_u16(), response.headers().contains_key("idempotency-replayed"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default(), replayed)
    }

    /// How many buckets and planned rows there are.
    async fn stored(&self) -> Vec<String> {
        let sql = "select count(*)::text from usage.bucket union all select count(*)::text from backfill.plan_row p
                   join backfill.job using (job_id) where state <> 'failed'";
        self.app.ask(sql).await
    }

    /// Every other route that takes a body.
    fn sound(&self) -> Vec<Sound> {
        let (viewer, operator) = (&self.user.viewer, &self.user.operator);
        let plan = json!({"action": "replay", "reason": "r", "from": "2026-11-01", "to": "2026-11-02"});
        let sound = |method, path, token: &String, body: Value| Sound {
            method,
            path,
            token: token.clone(),
            media_type: "application/json",
            body: body.to_string().into_bytes(),
        };
        let mut all = vec![
            sound(Method::POST, "/v1/buckets", &self.device.token, json!({"buckets": [bucket("m", 1)]})),
            sound(Method::PATCH, "/v1/me", viewer, json!({"time_zone": "Europe/Berlin"})),
            sound(Method::POST, "/v1/devices", viewer, json!({"name": "tower", "platform": "linux"})),
            sound(Method::POST, "/v1/users", operator, json!({"name": "bob", "time_zone": "UTC"})),
            sound(Method::PUT, "/v1/switches/retention", operator, json!({"is_on": false, "reason": "r"})),
            sound(Method::POST, "/v1/backfills", operator, plan),
        ];
        let line = self.line("m", 1);
        all.push(Sound {
            media_type: "application/x-ndjson",
            body: line,
            ..sound(Method::POST, STREAM, operator, json!(0))
        });
        all
    }

    /// A line of an import.
    fn line(&self, model: &str, input_tokens: u64) -> Vec<u8> {
        crate::backfill::bucket(&self.user, &self.device, "2026-11-20T10:30:00Z", model, input_tokens)
            .to_string()
            .into_bytes()
    }

    async fn ask(&self, sound: &Sound, headers: &[(&str, &str)], body: Vec<u8>) -> crate::support::Reply {
        let request = self.app.request(sound.method.clone(), sound.path).bearer(&sound.token).body(body);
        let mut request = request.header("content-type", sound.media_type);
        if sound.path.starts_with("/v1/backfills") {
            request = request.header("idempotency-key", &uuid::Uuid::now_v7().to_string());
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.send().await
    }
}

const STREAM: &str = "/v1/backfills?action=import&reason=r&from=2026-11-01&to=2026-11-20";

fn bucket(model: &str, input_tokens: u64) -> Value {
    json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": model,
        "observed_at": "2026-11-20T10:40:00Z", "input_tokens": input_tokens})
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
