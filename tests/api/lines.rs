//! Every request leaves exactly one M1 line with all its fields, however it ends; and so does every step of a worker. The
//! routes come from the contract, so that a new one is tried too.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::FutureExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::support::rollups::Usage;
use crate::support::{LINE_FIELDS, TestApp, TestDevice, TestUser, context, lines_of, logs, wait_for_line};

/// A route of the contract.
#[derive(Debug)]
struct Route {
    method: Method,
    pattern: String,
    function: String,
    takes_body: bool,
}

impl Route {
    fn path(&self) -> String {
        let id = Uuid::now_v7().to_string();
        let path = self.pattern.replace("{device_id}", &id).replace("{job_id}", &id);
        let path = path.replace("{name}", "ingest").replace("{code}", "invalid");
        assert!(!path.contains('{'), "say what stands for the parameter of {path}");
        path
    }
}

async fn routes(app: &TestApp) -> Vec<Route> {
    let document = app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone();
    let mut routes = Vec::new();
    for (pattern, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            routes.push(Route {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                pattern: pattern.clone(),
                function: operation["operationId"].as_str().unwrap().to_owned(),
                takes_body: operation.get("requestBody").is_some(),
            });
        }
    }
    assert!(routes.len() > 30, "only {routes:?} were found");
    routes
}

struct Cast {
    app: TestApp,
    user: TestUser,
    device: TestDevice,
}

impl Cast {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let user = app.user("ann", "UTC").await;
        let device = app.device(&user, "laptop").await;
        Self { app, user, device }
    }

    fn tokens(&self) -> [&str; 3] {
        [&self.device.token, &self.user.viewer, &self.user.operator]
    }
}

#[track_caller]
fn assert_whole(line: &Value) {
    let fields: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(LINE_FIELDS), "{line}");
    let is_number = |field: &str| line[field].is_number();
    assert!(is_number("status") && is_number("latency_ms") && is_number("retries"), "{line}");
    assert!(line["attribution"].is_string() && line["stage"].is_string() && line["trace_id"].is_string(), "{line}");
    let failed = line["status"].as_u64().unwrap() >= 400;
    assert_eq!(failed, line["error_code"].is_string() && line["fault"].is_string(), "{line}");
    assert_eq!(line["level"] == "ERROR", line["status"].as_u64().unwrap() >= 500, "{line}");
}

#[track_caller]
fn assert_one_line(route: &Route, id: &str, what: &str) -> Value {
    let lines = lines_of(id);
    let [line] = lines.as_slice() else { panic!("{what} of {route:?} left {} lines: {lines:?}", lines.len()) };
    assert_whole(line);
    assert_eq!(
        (line["method"].as_str(), line["route"].as_str(), line["function"].as_str(), line["stage"].as_str()),
        (Some(route.method.as_str()), Some(&*route.pattern), Some(&*route.function), Some("request")),
        "{what}: {line}"
    );
    line.clone()
}

#[tokio::test]
async fn every_refusal_and_every_success_leaves_one_line() {
    let cast = Cast::new().await;
    for route in routes(&cast.app).await {
        let ask = |path: &str, id: &str| cast.app.request(route.method.clone(), path).header("x-request-id", id);
        let path = route.path();
        // Nobody; a token that is none; each kind of token; a parameter that there is not; another media type.
        let id = || Uuid::now_v7().to_string();
        let mut asked = vec![(id(), "nobody"), (id(), "garbage")];
        ask(&path, &asked[0].0).send().await;
        ask(&path, &asked[1].0).bearer("hhv_garbage").send().await;
        // A person who is erased could not ask again.
        let path = if route.function.contains("me") && route.method == Method::DELETE {
            format!("{path}?dry_run=true")
        } else {
            path
        };
        let unknown = format!("{}?nothing=1", path.split('?').next().unwrap());
        for token in cast.tokens() {
            let ids = [(id(), "a token"), (id(), "a parameter"), (id(), "a media type")];
            let bare = ask(&path, &ids[0].0).bearer(token);
            if route.takes_body {
                bare.header("content-type", "application/json").body("{}").send().await;
            } else {
                bare.send().await;
            }
            ask(&unknown, &ids[1].0).bearer(token).send().await;
            ask(&path, &ids[2].0).bearer(token).header("accept", "image/png").send().await;
            asked.extend(ids);
        }
        for (id, what) in &asked {
            assert_one_line(&route, id, what);
        }
    }
}

/// What they are sent is thrown away, whatever it is.
const UNREAD: [&str; 5] = [
    "/v1/metrics",
    "/v1/traces",
    "/functions/vibeusage-sync-ping",
    "/functions/vibescore-sync-ping",
    "/functions/tokentracker-telemetry",
];

#[tokio::test]
async fn every_body_that_is_refused_leaves_one_line() {
    let cast = Cast::new().await;
    for route in routes(&cast.app).await.into_iter().filter(|route| route.takes_body) {
        for token in cast.tokens() {
            for (what, kind, coding, body) in [
                ("no JSON", "application/json", None, b"{".to_vec()),
                ("too large", "application/json", None, vec![b' '; 2 * 1024 * 1024]),
                ("no UTF-8", "application/json", None, vec![b'"', 0xff, b'"']),
                ("no such type", "image/png", None, b"{}".to_vec()),
                ("no such coding", "application/json", Some("br"), b"{}".to_vec()),
                ("no gzip", "application/json", Some("gzip"), b"{}".to_vec()),
            ] {
                let id = Uuid::now_v7().to_string();
                let mut request = cast.app.request(route.method.clone(), &route.path()).bearer(token);
                request = request.header("x-request-id", &id).header("content-type", kind);
                if let Some(coding) = coding {
                    request = request.header("content-encoding", coding);
                }
                // A large body may be cut off while it is sent.
                let _ = request.body(body).try_send().await;
                wait_for_line(&id).await;
                let line = assert_one_line(&route, &id, what);
                let is_unread = UNREAD.contains(&route.pattern.as_str());
                assert!(is_unread || line["status"].as_u64().unwrap() >= 400, "{what}: {line}");
            }
        }
    }
}

#[tokio::test]
async fn every_caller_who_hangs_up_leaves_one_line() {
    let cast = Cast::new().await;
    let address = cast.app.url.trim_start_matches("http://").to_owned();
    for route in routes(&cast.app).await {
        let Route { method, .. } = &route;
        for (token, id) in cast.tokens().map(|token| (token, Uuid::now_v7().to_string())) {
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            let head = format!(
                "{method} {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nx-request-id: {id}\r\n\
                 content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"",
                route.path()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            drop(stream);
            wait_for_line(&id).await;
            assert_one_line(&route, &id, "who hung up");
        }
    }
}

#[tokio::test]
async fn every_panic_leaves_one_line() {
    let cast = Cast::new().await;
    let mut panics = 0;
    for route in routes(&cast.app).await.into_iter().filter(|route| route.takes_body) {
        for token in cast.tokens() {
            let id = Uuid::now_v7().to_string();
            let stream = futures_util::stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
                panic!("the body of a test")
            });
            let request = axum::http::Request::builder()
                .method(route.method.clone())
                .uri(route.path())
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .header("x-request-id", &id)
                .body(Body::from_stream(stream))
                .unwrap();
            // What nobody has read of a body is thrown away by a layer further out.
            let answered = AssertUnwindSafe(cast.app.answer(request)).catch_unwind();
            let _ = tokio::time::timeout(Duration::from_secs(5), answered).await;
            let line = assert_one_line(&route, &id, "a panic");
            panics += u32::from(line["status"] == 500);
        }
    }
    assert!(panics >= 5, "{panics}");
}

/// What workers call their steps: every function in the source that stands beside no method.
fn workers_functions() -> BTreeSet<String> {
    let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/features")];
    let mut functions = BTreeSet::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(path).unwrap();
                let places = text.split("Place {").skip(1).filter_map(|rest| rest.split_once('}'));
                let of_workers = places.map(|(place, _)| place).filter(|place| place.contains("method: None"));
                let name = |place: &str| Some(place.split_once("function: \"")?.1.split_once('"')?.0.to_owned());
                functions.extend(of_workers.filter_map(name));
            }
        }
    }
    assert!(functions.len() >= 4, "only {functions:?} were found");
    functions
}

#[tokio::test]
async fn every_workers_step_leaves_one_whole_line() {
    let cast = Cast::new().await;
    let Cast { app, user, device } = &cast;
    app.post_usage(device, &[Usage::input("2026-11-20T10:30:00Z", 5), Usage::input("2025-11-20T10:30:00Z", 5)]).await;
    app.drain().await;
    let plan = json!({"action": "replay", "reason": "r", "from": "2026-11-01", "to": "2026-11-20"});
    let planned = app
        .request(Method::POST, "/v1/backfills")
        .bearer(&user.operator)
        .json(&plan)
        .header("idempotency-key", "x")
        .send()
        .await;
    assert_eq!(planned.status, 201, "{}", planned.json);
    let path = format!("/v1/backfills/{}/execute", planned.json["id"].as_str().unwrap());
    let executed = app.request(Method::POST, &path).bearer(&user.operator).header("if-match", planned.header("etag"));
    assert!(executed.send().await.status < 300);
    app.work_and_fold().await;
    app.retention(30).run_pass().await.unwrap();
    // Of a person who was erased with no time to remove the usage, a worker removes it.
    let eve = app.user("eve", "UTC").await;
    let tablet = app.device(&eve, "tablet").await;
    app.post_usage(&tablet, &[Usage::input("2026-11-20T10:30:00Z", 5)]).await;
    let (actor, no_time) = (halfhour::kernel::access::Actor::Command, std::time::Instant::now());
    app.persons().erase(&context(), actor, eve.user_id, true, no_time).await.unwrap();
    app.persons().run_pass().await.unwrap();
    let mine = |function: &str| -> Vec<Value> {
        logs::lines_with(function).into_iter().filter(|line| line["function"] == function).collect()
    };
    for function in workers_functions() {
        let function = function.as_str();
        let lines = mine(function);
        assert!(!lines.is_empty(), "{function} left no line");
        let steps: BTreeSet<String> =
            lines.iter().map(|line| line["request_id"].to_string() + &line["timestamp"].to_string()).collect();
        assert_eq!(steps.len(), lines.len(), "a step of {function} left two lines");
        for line in &lines {
            let fields: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(fields, BTreeSet::from(LINE_FIELDS), "{line}");
            assert!(line["method"].is_null() && line["route"].is_null() && line["principal"].is_null(), "{line}");
        }
    }
}
