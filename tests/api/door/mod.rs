//! The front door, as raw sockets meet it: what it refuses, how long it waits, and how many it lets in.

mod bodies;
mod heads;
mod pages;
mod room;
mod slow;
mod stopping;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{TestApp, line};

/// A connection without a client's manners.
struct Raw(TcpStream);

/// An answer of known length.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Raw {
    async fn connect(app: &TestApp) -> Self {
        Self::connect_to(&app.url).await
    }

    async fn connect_to(url: &str) -> Self {
        Self(TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap())
    }

    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer; `None` where the connection ended without one.
    async fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap_or_else(|| panic!("no length: {head}")).parse().unwrap()];
        self.0.read_exact(&mut body).await.ok()?;
        Some(Answer { status, head, body })
    }

    /// Whether the connection ends with nothing more on it.
    async fn is_ended(&mut self) -> bool {
        self.0.read_u8().await.is_err()
    }
}

impl Answer {
    /// A well-formed problem of that code, whose line says the same. Returns the line.
    #[track_caller]
    fn expect_problem(&self, status: u16, code: &str) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {} {text}", self.head));
        assert_eq!((self.status, body["code"].as_str()), (status, Some(code)), "{text}");
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let request_id = body["request_id"].as_str().unwrap();
        assert!(self.head.contains(&format!("x-request-id: {request_id}")), "{}", self.head);
        let line = line(request_id);
        assert_eq!((line["status"].as_u64(), line["error_code"].as_str()), (Some(status.into()), Some(code)), "{line}");
        line
    }
}
