//! Traces, as a collector sees them and as callers do not notice them.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::collector::{Collector, Manner, Spans, attributes, hex, links};
use crate::http::{PATIENCE, recent};
use crate::support::{Home, Server};

pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

pub fn home(collector: &Collector) -> Home {
    home_with(&collector.url())
}

pub fn home_with(url: &str) -> Home {
    let home = Home::new().with("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    home.with("HALFHOUR_LIMIT_DEVICE_PER_MINUTE", "0").with("HALFHOUR_LIMIT_VIEWER_PER_MINUTE", "0")
}

/// A post in the caller's trace, if it has one.
pub async fn post(server: &Server, token: &str, body: &Value, headers: &[(&'static str, &str)]) -> u16 {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let request = client.post(format!("{}/v1/buckets", server.url)).bearer_auth(token).json(body).headers(headers);
    request.send().await.unwrap().status().as_u16()
}

pub fn caller(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{CALLER}-{flags}")
}

#[tokio::test]
async fn a_post_is_a_tree_from_its_caller_to_the_statements_and_the_round_that_folds_it() {
    let collector = Collector::start(Manner::Takes).await;
    let home = home(&collector)
        .with("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20let%20me%20in")
        .with("OTEL_SERVICE_NAME", "usage")
        // A machine without certificates, which plain HTTP needs none of.
        .with("SSL_CERT_FILE", "/nowhere")
        .with("SSL_CERT_DIR", "/nowhere");
    let server = home.serve().await;
    let parent = caller(TRACE, "01");
    let headers = [("traceparent", parent.as_str()), ("tracestate", "vendor=opaque"), ("baggage", "who=somebody")];
    assert_eq!(post(&server, &home.device_token(), &recent("a-model-of-mine", 7), &headers).await, 200);
    let spans = collector.spans_with("relay_round").await;

    let request = spans.of_trace(TRACE);
    let request = request.one("POST /v1/buckets");
    assert_eq!((hex(&request.parent_span_id).as_str(), request.kind), (CALLER, 2), "{request:?}");
    let of_request =
        [("http.request.method", "POST"), ("http.response.status_code", "200"), ("http.route", "/v1/buckets")];
    let pairs = attributes(&request.attributes);
    assert_eq!(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), of_request);

    let batch = spans.one("writer_batch");
    assert!(links(batch, request) && links(request, batch), "{batch:?} {request:?}");
    assert_ne!(batch.trace_id, request.trace_id);
    let statements = spans.children(batch);
    for name in ["begin", "upsert_buckets", "commit"] {
        assert!(statements.contains(name), "{name} in {statements:?}");
    }
    let upsert = spans.0.iter().find(|span| span.name == "upsert_buckets").unwrap();
    let pairs = attributes(&upsert.attributes);
    assert_eq!(
        (pairs["db.system.name"].as_str(), pairs["db.query.summary"].as_str()),
        ("postgresql", "upsert_buckets")
    );
    assert_eq!((pairs.len(), upsert.kind), (2, 3), "{pairs:?}");
    // Who calls is looked up for the request itself.
    assert!(spans.children(request).contains("begin"), "{:?}", spans.children(request));

    let round = spans.one("relay_round");
    assert!(links(round, request), "{round:?}");
    let statements = spans.children(round);
    for name in ["begin", "take_parts", "claim_events", "fold_user_days", "consume_events", "commit"] {
        assert!(statements.contains(name), "{name} in {statements:?}");
    }

    for span in spans.of_trace(TRACE).0 {
        assert_eq!(span.trace_state, "vendor=opaque", "{span:?}");
    }
    for link in &batch.links {
        assert_eq!(link.trace_state, "vendor=opaque");
    }
    assert_eq!(collector.headers()["authorization"], "Bearer let me in");
    assert_eq!(collector.headers()["content-type"], "application/x-protobuf");
    let resource = collector.resource();
    assert_eq!((resource["service.name"].as_str(), resource["service.version"].as_str()), ("usage", "0.1.0"));
    // What the log says of the request has the same trace.
    let (stdout, round) = (server.running.stdout(), hex(&round.trace_id));
    for (function, trace) in [("ingest_buckets", TRACE), ("relay_round", round.as_str())] {
        let is_so = |line: &Value| line["function"] == function && line["trace_id"] == trace;
        assert!(stdout.lines().map(|line| serde_json::from_str(line).unwrap()).any(|line| is_so(&line)), "{function}");
    }
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_caller_who_decided_is_obeyed_and_for_others_the_ratio_decides() {
    for (ratio, unasked) in [("0", false), ("1", true)] {
        let collector = Collector::start(Manner::Takes).await;
        let home = home(&collector).with("OTEL_TRACES_SAMPLER_ARG", ratio);
        let server = home.serve().await;
        let (no, yes) = ("0af7651916cd43dd8448eb211c80319c", TRACE);
        for (at, flags) in [(1, "00"), (2, "02")] {
            let parent = caller(no, flags);
            assert_eq!(post(&server, &home.device_token(), &recent("m", at), &[("traceparent", &parent)]).await, 200);
        }
        for flags in ["01", "03"] {
            let parent = caller(yes, flags);
            assert_eq!(post(&server, &home.device_token(), &recent("m", 3), &[("traceparent", &parent)]).await, 200);
        }
        // A malformed one is none.
        let malformed = [("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")];
        assert_eq!(post(&server, &home.device_token(), &recent("m", 4), &malformed).await, 200);
        // What waits is sent when the server stops.
        server.stop().await;
        let spans = collector.spans();
        assert!(spans.of_trace(no).0.is_empty(), "{ratio}: {:?}", spans.of_trace(no).names());
        let count = |spans: &Spans| spans.0.iter().filter(|span| span.name == "POST /v1/buckets").count();
        assert_eq!(count(&spans.of_trace(yes)), 2, "{ratio}");
        assert_eq!(count(&spans), if unasked { 3 } else { 2 }, "{ratio}");
        let none_of_no = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
            span.links.iter().all(|link| hex(&link.trace_id) != no)
        };
        assert!(spans.0.iter().all(none_of_no), "{ratio}");
    }
}

#[tokio::test]
async fn a_step_of_a_backfill_is_a_trace_that_the_round_which_folds_it_links_to() {
    let collector = Collector::start(Manner::Takes).await;
    let home = home(&collector);
    let server = home.serve().await;
    let operator = home.credential("HALFHOUR_OPERATOR_TOKEN");
    let job = json!({"action": "replay", "reason": "again", "from": "2026-11-01", "to": "2026-11-02",
        "user_ids": [home.credential("HALFHOUR_USER_ID")]});
    let planned = server.post_under("a-key", &operator, "/v1/backfills", &job).await;
    assert!(planned.status < 300, "{}", planned.json);
    let path = format!("/v1/backfills/{}", planned.json["id"].as_str().unwrap());
    let execute = reqwest::Client::new().post(format!("{}{path}/execute", server.url)).bearer_auth(&operator);
    let version = format!("\"{}\"", planned.json["version"]);
    let executed = execute.header("if-match", version).send().await.unwrap();
    assert!(executed.status().is_success(), "{:?}", executed.text().await);
    let deadline = Instant::now() + PATIENCE;
    while server.get(&operator, &path).await.json["state"] != "succeeded" {
        assert!(Instant::now() < deadline, "{:?}", server.get(&operator, &path).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.stop().await;
    let spans = collector.spans();
    let rounds: Vec<_> = spans.0.iter().filter(|span| span.name == "relay_round").collect();
    let mut steps = spans.0.iter().filter(|span| span.name == "backfill_step");
    let step = steps.find(|step| rounds.iter().any(|round| links(round, step))).expect("a step that a round links to");
    let statements = spans.children(step);
    assert!(statements.contains("fence") && statements.contains("publish_replay"), "{statements:?}");
}

#[tokio::test]
async fn a_round_links_to_a_request_that_another_process_took() {
    let collector = Collector::start(Manner::Takes).await;
    let home = home(&collector);
    let server = home.serve().await;
    throw_relay(&server, &home, false).await;
    let parent = caller(TRACE, "01");
    assert_eq!(post(&server, &home.device_token(), &recent("m", 7), &[("traceparent", &parent)]).await, 200);
    server.stop().await;
    assert!(!collector.spans().names().contains("relay_round"), "{:?}", collector.spans().names());

    let server = home.serve().await;
    throw_relay(&server, &home, true).await;
    let spans = collector.spans_with("relay_round").await;
    let request = spans.of_trace(TRACE);
    assert!(links(spans.one("relay_round"), request.one("POST /v1/buckets")), "{spans:?}");
    server.stop().await;
}

/// Switches the relay on or off; the process may learn it a second later.
async fn throw_relay(server: &Server, home: &Home, is_on: bool) {
    let operator = home.credential("HALFHOUR_OPERATOR_TOKEN");
    let client = reqwest::Client::new().put(format!("{}/v1/switches/relay", server.url)).bearer_auth(&operator);
    let thrown = client.json(&json!({"is_on": is_on, "reason": "a test"})).send().await.unwrap();
    assert!(thrown.status().is_success(), "{:?}", thrown.text().await);
}

#[tokio::test]
async fn names_are_few_and_nothing_says_who_or_what_was_used() {
    let collector = Collector::start(Manner::Takes).await;
    let home = home(&collector);
    let server = home.serve().await;
    let (device, viewer, operator) =
        (home.device_token(), home.viewer_token(), home.credential("HALFHOUR_OPERATOR_TOKEN"));
    post(&server, &device, &recent("a-model-of-mine", 7), &[("baggage", "who=somebody")]).await;
    server.folded(&viewer, "/v1/rollups?from=2020-01-01&to=2020-01-02").await;
    for path in
        ["/v1/heatmap?year=2026", "/v1/buckets", "/v1/devices", "/v1/me", "/v1/secret-path", "/v1/rollups?from=x"]
    {
        server.get(&viewer, path).await;
    }
    server.get("hhv_forged-token", "/v1/me").await;
    // A head that cannot be read has neither method nor route.
    let mut stream = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"GET /v1/secret-path HTTP/1.1\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let user_id = home.credential("HALFHOUR_USER_ID");
    let job = json!({"action": "replay", "reason": "a reason of mine", "from": "2026-11-01", "to": "2026-11-02",
        "user_ids": [user_id]});
    let planned = server.post_under("a-key-of-mine", &operator, "/v1/backfills", &job).await;
    assert!(planned.status < 300, "{}", planned.json);
    server.stop().await;

    let spans = collector.spans();
    assert_few_names(&spans);
    // What a caller does wrong is no error of the server.
    let refused = attributes(&spans.one("HTTP").attributes);
    assert_eq!(
        (refused["http.request.method"].as_str(), refused["http.response.status_code"].as_str()),
        ("_OTHER", "400")
    );
    assert!(
        spans.0.iter().filter(|span| span.kind == 2).all(|span| span.status.clone().unwrap_or_default().code == 0),
        "{spans:?}"
    );
    let device_id = home.credential("HALFHOUR_DEVICE_ID");
    for private in [
        "a-model-of-mine",
        "somebody",
        "secret-path",
        "forged",
        "a reason of mine",
        "a-key-of-mine",
        "codex",
        "127.0.0.1",
        &user_id,
        &device_id,
        &device,
        &viewer,
        &operator,
    ] {
        assert!(!collector.has_heard(private), "{private}");
    }
}

#[track_caller]
fn assert_few_names(spans: &Spans) {
    let files = sql_files();
    let requests = spans.0.iter().filter(|span| span.kind == 2);
    for span in spans.0.iter().filter(|span| span.kind != 2) {
        let words = [
            "begin",
            "commit",
            "rollback",
            "savepoint",
            "release",
            "set",
            "writer_batch",
            "relay_round",
            "retention_pass",
            "housekeeping",
        ];
        assert!(words.contains(&span.name.as_str()) || files.contains(&span.name), "{span:?}");
    }
    for span in requests {
        let (_, route) = span.name.split_once(' ').unwrap_or((&span.name, "/"));
        assert!(route.starts_with('/') && !route.contains("secret-path"), "{span:?}");
    }
    let known = [
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "error.type",
        "db.system.name",
        "db.query.summary",
        "db.response.status_code",
        "halfhour.batch.posts",
        "halfhour.batch.rows",
        "halfhour.relay.events",
        "halfhour.relay.user_days",
    ];
    for span in &spans.0 {
        let unknown: Vec<_> =
            attributes(&span.attributes).into_keys().filter(|key| !known.contains(&key.as_str())).collect();
        assert!(unknown.is_empty() && span.events.is_empty(), "{span:?}");
    }
}

/// The names of all statements.
fn sql_files() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names
}
