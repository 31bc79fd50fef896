//! Pages of other origins: what the contract says that a request may have, a browser may send, and what any answer has, it
//! may read. Both are true of what is really sent.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};
use crate::walk::{Answer, Walk, operations};

const ORIGIN: &str = "https://app.example";

/// What callers do send, whether or not somebody remembers to describe it.
const SENT: [&str; 11] = [
    "accept",
    "authorization",
    "content-type",
    "content-encoding",
    "prefer",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// What HTTP itself says of a message, and what a page reads without being told of it or has no use for.
const OF_HTTP: [&str; 16] = [
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "permissions-policy",
    "referrer-policy",
    "transfer-encoding",
    "upgrade",
    "vary",
    "x-content-type-options",
];

async fn for_browsers() -> TestApp {
    TestApp::start_with(|settings| {
        settings.cors_origins = vec![ORIGIN.parse().unwrap()];
        // So that answers say what limits leave.
        settings.limits.viewer = 60_000;
        settings.limits.operator = 60_000;
        settings.limits.device = 60_000;
        settings.limits.device_buckets_per_hour = 1_000_000;
        settings.limits.anonymous = 60_000;
    })
    .await
}

async fn contract(app: &TestApp) -> Value {
    app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone()
}

async fn preflight(app: &TestApp, origin: &str, operation: &str, headers: &str) -> Reply {
    let (method, path) = operation.split_once(' ').unwrap();
    let request = app.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", headers).send().await
}

fn listed(header: &str) -> BTreeSet<String> {
    header.split(',').map(|name| name.trim().to_ascii_lowercase()).filter(|name| !name.is_empty()).collect()
}

/// The names of the headers that an operation's description has for requests.
fn described_for_requests(operation: &Value) -> BTreeSet<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let headers = parameters.filter(|parameter| parameter["in"] == "header");
    headers.map(|header| header["name"].as_str().unwrap().to_ascii_lowercase()).collect()
}

/// The same for answers with that status, or for all answers.
fn described_for_answers(operation: &Value, status: Option<u16>) -> BTreeSet<String> {
    let answers = operation["responses"].as_object().into_iter().flatten();
    let answers = answers.filter(|(found, _)| status.is_none_or(|status| **found == status.to_string()));
    let headers = answers.filter_map(|(_, answer)| answer["headers"].as_object()).flatten();
    headers.map(|(name, _)| name.to_ascii_lowercase()).collect()
}

/// Headers of an answer that its operation does not describe.
fn undescribed(operation: &Value, Answer { route, reply }: &Answer) -> Vec<String> {
    let described = described_for_answers(operation, Some(reply.status));
    let sent = reply.headers.keys().map(axum::http::HeaderName::as_str);
    let own = sent.filter(|name| !OF_HTTP.contains(name) && !name.starts_with("access-control-"));
    own.filter(|name| !described.contains(*name)).map(|name| format!("{route} {}: {name}", reply.status)).collect()
}

#[tokio::test]
async fn what_the_contract_has_for_requests_a_browser_may_send_to_every_route() {
    let app = for_browsers().await;
    let document = contract(&app).await;
    let mut refused = Vec::new();
    let operations = operations(&document);
    for (name, operation) in &operations {
        let mut wanted = described_for_requests(operation);
        wanted.extend(SENT.map(str::to_owned));
        assert!(wanted.contains("traceparent") && wanted.contains("x-request-id"), "{name}");
        let asked = wanted.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let reply = preflight(&app, ORIGIN, name, &asked).await;
        let allowed = listed(reply.header("access-control-allow-headers"));
        refused.extend(wanted.difference(&allowed).map(|header| format!("{name}: {header}")));
        let method = name.split(' ').next().unwrap().to_ascii_lowercase();
        assert!(listed(reply.header("access-control-allow-methods")).contains(&method), "{name}");
    }
    assert_eq!(refused, Vec::<String>::new());
    assert!(operations.len() > 20, "only {} operations were looked at", operations.len());
}

#[tokio::test]
async fn a_compressed_body_is_described_for_every_route_that_takes_one() {
    let app = for_browsers().await;
    let document = contract(&app).await;
    let mut bodies = 0;
    for (name, operation) in operations(&document) {
        let takes_body = operation.get("requestBody").is_some();
        bodies += usize::from(takes_body);
        assert_eq!(described_for_requests(&operation).contains("content-encoding"), takes_body, "{name}");
    }
    assert!(bodies > 5, "only {bodies} operations take a body");
}

#[tokio::test]
async fn every_header_that_any_route_sends_is_described_and_a_browser_may_read_it() {
    let walk = Walk::on(for_browsers().await, ORIGIN).await;
    let (walk, answers) = walk.everything().await;
    let document = contract(&walk.app).await;
    let operations = operations(&document);
    let described: BTreeSet<_> =
        operations.iter().flat_map(|(_, operation)| described_for_answers(operation, None)).collect();
    let mut wrong = Vec::new();
    let mut statuses = BTreeSet::new();
    for answer in &answers {
        let exposed = listed(answer.reply.header("access-control-expose-headers"));
        wrong.extend(described.difference(&exposed).map(|name| format!("{}: {name} is hidden", answer.route)));
        if let Some((_, operation)) = operations.iter().find(|(name, _)| *name == answer.route) {
            statuses.insert(answer.reply.status);
            wrong.extend(undescribed(operation, answer));
        }
    }
    wrong.sort();
    wrong.dedup();
    assert_eq!(wrong, Vec::<String>::new());
    for Answer { route, reply } in &answers {
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{route}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{route}");
        let policy = reply.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{route}: {policy}"
        );
    }
    for status in [200, 201, 304, 401, 403, 404, 406, 422, 428] {
        assert!(statuses.contains(&status), "{status} is not among {statuses:?}");
    }
    for name in ["link", "location", "etag", "ratelimit", "halfhour-as-of", "idempotency-replayed", "www-authenticate"]
    {
        assert!(answers.iter().any(|answer| answer.reply.headers.contains_key(name)), "{name} was never sent");
        assert!(described.contains(name), "{name} is not described");
    }
}

#[tokio::test]
async fn nobody_else_is_told_anything_and_other_headers_stay_refused() {
    let app = for_browsers().await;
    let allowed = preflight(&app, ORIGIN, "POST /v1/buckets", "x-forwarded-for,cookie,x-custom").await;
    let allowed = listed(allowed.header("access-control-allow-headers"));
    for name in ["x-forwarded-for", "cookie", "x-custom", "*"] {
        assert!(!allowed.contains(name), "{name} is allowed");
    }
    let stranger = preflight(&app, "https://app.example.evil", "POST /v1/buckets", "authorization").await;
    assert_eq!(stranger.header("access-control-allow-origin"), "");
    let closed = TestApp::start().await;
    let reply = closed.request(Method::GET, "/health/live").header("origin", ORIGIN).send().await;
    assert!(!reply.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{:?}", reply.headers);
}

#[tokio::test]
async fn a_header_that_nobody_described_is_caught() {
    let app = for_browsers().await;
    let reply = app.request(Method::GET, "/health/live").send().await;
    let answer = Answer { route: "GET /health/live".to_owned(), reply };
    let operation =
        |headers| json!({"responses": {"200": {"headers": headers}, "503": {"headers": {"X-Request-Id": {}}}}});
    assert_eq!(undescribed(&operation(json!({"X-Request-ID": {}})), &answer), Vec::<String>::new());
    assert_eq!(undescribed(&operation(json!({})), &answer), ["GET /health/live 200: x-request-id"]);
}
