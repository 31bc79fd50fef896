//! Requests to build and replies to look at.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// A request being built.
pub struct Request(reqwest::RequestBuilder);

impl Request {
    pub fn new(builder: reqwest::RequestBuilder) -> Self {
        Self(builder)
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// With a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        Self(self.0.header(name, HeaderValue::from_str(value).unwrap()))
    }

    /// With a header that need not be text.
    pub fn raw_header(self, name: &str, value: HeaderValue) -> Self {
        Self(self.0.header(name, value))
    }

    /// With a JSON body.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With any body; say its content type yourself.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self(self.0.body(body.into()))
    }

    /// Sends it and reads the whole reply.
    pub async fn send(self) -> Reply {
        self.try_send().await.unwrap()
    }

    /// Sends it; errors when there is no reply.
    pub async fn try_send(self) -> Result<Reply, reqwest::Error> {
        let response = self.0.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.bytes().await?.to_vec();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Reply { status, headers, body, json })
    }
}

/// A reply, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    /// The body as JSON; null where it is none.
    pub json: Value,
}

impl Reply {
    /// A header's text, or "".
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts that this is a problem of that code, well formed, and returns it.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> &Value {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!((self.status, self.json["code"].as_str()), (status, Some(code)), "{text}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{text}");
        assert_eq!(self.json["status"], status, "{text}");
        assert_eq!(self.json["request_id"], self.header("x-request-id"), "{text}");
        assert!(self.json["type"].as_str().unwrap().ends_with(&format!("/problems/{code}")), "{text}");
        for member in ["title", "detail", "instance", "fault", "retry"] {
            assert!(self.json[member].is_string(), "{member} is missing: {text}");
        }
        &self.json
    }

    /// Asserts success and returns the body.
    #[track_caller]
    pub fn expect_ok(&self) -> &Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        &self.json
    }

    /// The body of a 200 or 201.
    pub fn expect_ok_or_created(&self) -> &Value {
        assert!(matches!(self.status, 200 | 201), "{}", String::from_utf8_lossy(&self.body));
        &self.json
    }
}
