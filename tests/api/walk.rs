//! A walk over every route: each is asked by everyone who may ask, and once more so that it says whatever it can say in
//! its headers. What holds for all answers is tested on what comes back.

use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::routes::TABLE;
use crate::support::{Reply, Request, TestApp, TestDevice, TestUser};

/// What was asked, as `GET /v1/devices/{device_id}`, and what was answered.
pub struct Answer {
    pub route: String,
    pub reply: Reply,
}

/// A server with somebody who walks.
pub struct Walk {
    pub app: TestApp,
    pub ann: TestUser,
    pub laptop: TestDevice,
    /// Follows no redirects.
    client: reqwest::Client,
    origin: &'static str,
    answers: Vec<Answer>,
}

impl Walk {
    /// Asks as a page of that origin does.
    pub async fn on(app: TestApp, origin: &'static str) -> Self {
        let ann = app.user("ann", "UTC").await;
        let laptop = app.device(&ann, "laptop").await;
        let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
        Self { app, ann, laptop, client, origin, answers: Vec::new() }
    }

    /// A request to a path of the server, with whatever it is in the address that callers use.
    pub fn request(&self, method: &str, path: &str) -> Request {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        Request::new(self.client.request(method, format!("{}{path}", self.app.url))).header("origin", self.origin)
    }

    /// Every answer of every route.
    pub async fn everything(mut self) -> (Self, Vec<Answer>) {
        self.conditional_reads().await;
        self.posts().await;
        self.jobs().await;
        self.nothings().await;
        for (route, body, _) in TABLE {
            let tokens = [None, Some(self.laptop.token.clone()), Some(self.ann.viewer.clone())];
            for token in tokens.into_iter().chain([Some(self.ann.operator.clone())]) {
                let body = body.replace("$caller", &format!("caller {}", self.answers.len()));
                self.ask(route, token.as_deref(), &[], &body).await;
            }
        }
        let answers = std::mem::take(&mut self.answers);
        (self, answers)
    }

    async fn ask(&mut self, route: &str, token: Option<&str>, headers: &[(&str, &str)], body: &str) -> &Reply {
        let (method, path) = route.split_once(' ').unwrap();
        // A device of its own, because some routes use it up.
        let mut path = path.replace("{name}", "ingest").replace("{code}", "invalid");
        if path.contains("{device_id}") {
            let spare = self.app.device(&self.ann, &format!("spare {}", self.answers.len())).await;
            path = path.replace("{device_id}", &spare.device_id.to_string());
        }
        let path = path.replace("{job_id}", "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2");
        let mut request = self.request(method, &path);
        if let Some(token) = token {
            request = request.bearer(token);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        let reply = request.send().await;
        let route = format!("{method} {}", route[method.len() + 1..].split('?').next().unwrap());
        self.answers.push(Answer { route, reply });
        &self.answers.last().unwrap().reply
    }

    /// Pages, validators and other media types.
    async fn conditional_reads(&mut self) {
        for (model, hour) in [("a", "10:00"), ("b", "10:30"), ("c", "11:00")] {
            let bucket = json!({"hour_start": format!("2026-11-20T{hour}:00Z"), "source": "codex", "model": model,
                "observed_at": "2026-11-20T11:59:00Z", "input_tokens": 1});
            self.app.post_buckets(&self.laptop.token, &json!({"buckets": [bucket]})).await.expect_ok();
        }
        self.app.drain().await;
        let viewer = self.ann.viewer.clone();
        for route in ["GET /v1/rollups?group_by=model&limit=1", "GET /v1/buckets?limit=1"] {
            let page = self.ask(route, Some(&viewer), &[], "").await;
            assert!(page.headers.contains_key("link"), "{route}: {}", page.json);
            self.ask(route, Some(&viewer), &[("accept", "text/csv")], "").await;
            self.ask(route, Some(&viewer), &[("accept", "text/html")], "").await;
        }
        self.ask("GET /v1/buckets", Some(&viewer), &[("accept", "application/x-ndjson")], "").await.expect_ok();
        for route in ["GET /v1/rollups", "GET /v1/rollups/summary", "GET /v1/rollups/heatmap"] {
            let reply = self.ask(route, Some(&viewer), &[("if-none-match", "*")], "").await;
            assert_eq!(reply.status, 304, "{route}");
        }
    }

    async fn posts(&mut self) {
        let device = self.laptop.token.clone();
        let headers = [("prefer", "handling=lenient"), ("idempotency-key", "walk")];
        for _ in 0..2 {
            self.ask("POST /v1/buckets", Some(&device), &headers, r#"{"buckets":[{}]}"#).await.expect_ok();
        }
    }

    async fn jobs(&mut self) {
        let operator = self.ann.operator.clone();
        let order =
            json!({"action": "replay", "reason": "a walk", "from": "2026-11-19", "to": "2026-11-20"}).to_string();
        let key = [("idempotency-key", "walk")];
        for _ in 0..2 {
            self.ask("POST /v1/backfills", Some(&operator), &key, &order).await;
        }
        let planned = self.answers.last().unwrap();
        let (tag, job) = (planned.reply.header("etag").to_owned(), planned.reply.json["id"].clone());
        assert_eq!((planned.reply.status, planned.reply.header("idempotency-replayed")), (201, "true"));
        let of_job = |rest: &str| format!("/v1/backfills/{}{rest}", job.as_str().unwrap());
        for (method, rest) in [("GET", ""), ("GET", "/rows"), ("GET", "/exceptions"), ("POST", "/execute")] {
            let request = self.request(method, &of_job(rest)).bearer(&operator).header("if-match", &tag);
            let (route, reply) = (format!("{method} /v1/backfills/{{job_id}}{rest}"), request.send().await);
            assert_eq!(reply.status, 200, "{route}: {}", reply.json);
            self.answers.push(Answer { route, reply });
        }
    }

    /// What no route answers, and the pages that lead to each other.
    async fn nothings(&mut self) {
        let viewer = self.ann.viewer.clone();
        for route in ["GET /nothing", "GET /v1/rollups/", "GET //v1//buckets?limit=1", "GET /docs", "GET /docs//x"] {
            self.ask(route, None, &[], "").await;
        }
        self.ask("DELETE /v1/rollups", Some(&viewer), &[], "").await;
        let long_ago = "GET /v1/buckets?from=2020-01-01&to=2026-11-20";
        assert_eq!(self.ask(long_ago, Some(&viewer), &[], "").await.status, 422);
        for code in halfhour::kernel::problem::Code::ALL {
            self.ask(&format!("GET /problems/{}", code.as_str()), None, &[], "").await;
        }
        self.ask("GET /docs/swagger-initializer.js", None, &[], "").await;
    }
}

/// A contract whose refusals stand with their operations, and not once for all of them.
pub fn inlined(document: &Value) -> Value {
    let mut whole = document.clone();
    let items = whole["paths"].as_object_mut().unwrap().values_mut();
    let operations = items.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut());
    let answers = operations.filter_map(|operation| operation.get_mut("responses")?.as_object_mut());
    for answer in answers.flat_map(|answers| answers.values_mut()) {
        if let Some(reference) = answer["$ref"].as_str() {
            *answer = document.pointer(reference.trim_start_matches('#')).unwrap().clone();
        }
    }
    whole
}

/// The operations of a contract, as `GET /v1/buckets`, with their descriptions.
pub fn operations(document: &Value) -> Vec<(String, Value)> {
    let document = inlined(document);
    let paths = document["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (format!("{} {path}", method.to_uppercase()), operation.clone()))
    });
    operations.collect()
}
