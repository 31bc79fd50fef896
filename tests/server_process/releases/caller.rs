//! Requests of any kind, to the byte as a sample has them.

use std::time::Instant;

use reqwest::Method;
use serde_json::Value;

use crate::http::{INTERVAL, PATIENCE};
use crate::support::Server;

/// Who asks one server.
pub struct Caller {
    client: reqwest::Client,
    url: String,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub replayed: bool,
    pub json: Value,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub method: Method,
    pub path: &'a str,
    pub token: Option<&'a str>,
    pub body: Option<String>,
    pub headers: Vec<(&'a str, String)>,
}

impl<'a> Request<'a> {
    pub fn new(method: Method, path: &'a str, token: &'a str) -> Self {
        Self { method, path, token: Some(token), body: None, headers: Vec::new() }
    }

    pub fn get(path: &'a str, token: &'a str) -> Self {
        Self::new(Method::GET, path, token)
    }

    pub fn post(path: &'a str, token: &'a str) -> Self {
        Self::new(Method::POST, path, token)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    pub fn body(self, body: String) -> Self {
        Self { body: Some(body), ..self }.header("content-type", "application/json")
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn header(mut self, name: &'a str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl Caller {
    pub fn of(server: &Server) -> Self {
        Self { client: reqwest::Client::builder().timeout(PATIENCE).build().unwrap(), url: server.url.clone() }
    }

    pub async fn ask(&self, request: Request<'_>) -> Answer {
        let began = Instant::now();
        loop {
            let answer = self.ask_once(&request).await;
            // As trackers do: 503 is asked again.
            if answer.status != 503 || began.elapsed() > PATIENCE {
                return answer;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn ask_once(&self, request: &Request<'_>) -> Answer {
        let mut sent = self.client.request(request.method.clone(), format!("{}{}", self.url, request.path));
        for (name, value) in &request.headers {
            sent = sent.header(*name, value);
        }
        if let Some(token) = request.token {
            sent = sent.bearer_auth(token);
        }
        let response = sent.body(request.body.clone().unwrap_or_default()).send().await.unwrap();
        let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (etag, replayed) = (header("etag"), header("idempotency-replayed").is_some());
        let status = response.status().as_u16();
        let json = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null);
        Answer { status, etag, replayed, json }
    }

    /// What has to succeed.
    #[track_caller]
    pub fn done(&self, request: Request<'_>) -> impl Future<Output = Answer> {
        let said = format!("{request:?}");
        async move {
            let answer = self.ask(request).await;
            assert!(answer.status < 300, "{said}: {answer:?}");
            answer
        }
    }

    /// A job as soon as it is in one of these states.
    pub async fn job(&self, operator: &str, id: &str, states: &[&str]) -> Answer {
        let (began, path) = (Instant::now(), format!("/v1/backfills/{id}"));
        loop {
            let answer = self.done(Request::get(&path, operator)).await;
            if states.contains(&answer.json["state"].as_str().unwrap()) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "{states:?}: {}", answer.json);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Waits until a job has taken all its steps, folded or not.
    pub async fn stepped(&self, operator: &str, id: &str) {
        let began = Instant::now();
        loop {
            let job = self.job(operator, id, &["running", "succeeded"]).await.json;
            let progress = &job["progress"];
            if progress["done"] == progress["total"] {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{progress}");
            tokio::time::sleep(INTERVAL).await;
        }
    }
}
