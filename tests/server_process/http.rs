//! Plain HTTP to a running server.

use std::time::{Duration, Instant};

use halfhour::kernel::clock::Clock;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

/// Whatever is waited for in these tests happens long before.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked for.
pub const INTERVAL: Duration = Duration::from_millis(25);

/// One server's clients.
#[derive(Clone, Debug)]
pub struct Http {
    pub url: String,
    client: reqwest::Client,
}

/// A reply, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub retry_after: Option<u64>,
    pub etag: Option<String>,
    pub json: Value,
}

impl Http {
    pub fn new(url: &str) -> Self {
        // The client speaks plain HTTP only, but is built with TLS because another crate asks for it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { url: url.to_owned(), client }
    }

    /// GET with a token. Errors: no reply.
    pub async fn try_get(&self, token: &str, path: &str) -> Result<Reply, reqwest::Error> {
        read(self.client.get(format!("{}{path}", self.url)).bearer_auth(token)).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Reply {
        self.try_get(token, path).await.unwrap()
    }

    /// POST to any path, with a token or as nobody.
    pub async fn post_to(&self, token: Option<&str>, path: &str, body: &Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.url)).json(body);
        read(token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)).await.unwrap()
    }

    /// What a path answers, as it is.
    pub async fn text(&self, token: &str, path: &str) -> String {
        let response = self.client.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.unwrap();
        response.text().await.unwrap()
    }

    /// POST /v1/buckets with a token. Errors: no reply.
    pub async fn try_post(&self, token: &str, body: &Value) -> Result<Reply, reqwest::Error> {
        read(self.client.post(format!("{}/v1/buckets", self.url)).bearer_auth(token).json(body)).await
    }

    /// POST /v1/buckets, which has to succeed.
    pub async fn post(&self, token: &str, body: &Value) -> Value {
        let reply = self.try_post(token, body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.json);
        reply.json
    }

    /// POST of anything under an `Idempotency-Key`.
    pub async fn post_under(&self, key: &str, token: &str, path: &str, body: &Value) -> Reply {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(token).json(body);
        read(request.header("idempotency-key", key)).await.unwrap()
    }

    /// The same on a connection whose answer nobody reads.
    pub async fn post_unread(&self, key: &str, token: &str, path: &str, body: &Value) -> tokio::net::TcpStream {
        let body = body.to_string();
        let mut stream = tokio::net::TcpStream::connect(self.url.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream
    }

    /// The user's rollups as soon as nothing is pending, and how long that took.
    pub async fn folded(&self, token: &str, path: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.get(token, path).await;
            assert_eq!(reply.status, 200, "{}", reply.json);
            if reply.json["pending"] == false {
                return reply.json;
            }
            assert!(Instant::now() < deadline, "still pending: {}", reply.json);
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Reply, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = content_type.to_owned();
    let retry_after = response.headers().get("retry-after").map(|seconds| seconds.to_str().unwrap().parse().unwrap());
    let etag = response.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    let json = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
    Ok(Reply { status, content_type, retry_after, etag, json })
}

/// A post of one bucket of an hour ago.
pub fn recent(model: &str, input_tokens: u64) -> Value {
    let now = Clock::machine_now().timestamp();
    let hour_start = chrono::DateTime::from_timestamp(now - now.rem_euclid(1800) - 3600, 0).unwrap();
    json!({"buckets": [
        {"hour_start": hour_start.to_rfc3339(), "source": "codex", "model": model, "input_tokens": input_tokens},
    ]})
}

/// Looks again and again, up to a limit that only a failure reaches.
pub async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
