//! The intake as a door for any protocol. One that is none of the server's own, lines of plain
//! text, posts through it: `hour_start source model input output`, and optionally when that was
//! observed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use halfhour::app::Settings;
use halfhour::kernel::access::{
    Addresses, AnonymousCallers, Authenticator, Device, REVOCATION_BOUND, TokenCache, require_principal,
};
use halfhour::kernel::bucket::{HalfHour, Model, TokenCounts};
use halfhour::kernel::call::Tracer;
use halfhour::kernel::http::request_line::{RequestLine, observe};
use halfhour::kernel::idempotency::IdempotencyKey;
use halfhour::kernel::operations::switches::Switch;
use halfhour::kernel::problem::{Problem, Violation};
use halfhour::kernel::usage::intake::{Draft, Handling, Intake, Snapshot, Untimely};
use halfhour::kernel::usage::snapshot::Firmness;
use tower::ServiceExt as _;

use crate::support::{Reply, TestApp, TestDevice, TestUser, line, server_key};

const STRICT: &[(&str, &str)] = &[];
const LENIENT: &[(&str, &str)] = &[("handling", "lenient")];
const GOOD: &str = "2026-11-20T10:30:00Z codex m 7 5";

/// One line, or what is wrong with it.
fn snapshot(number: usize, line: &str, draft: &Draft) -> Result<Snapshot, Violation> {
    let place = |field: &str| format!("line {number}, {field}");
    let unreadable = |field: &str| Violation::new(place(field), "unreadable", "Expected something else.");
    let untimely = |untimely: Untimely| {
        let place = place(untimely.field);
        untimely.at(place)
    };
    let words: Vec<_> = line.split(' ').collect();
    let [hour_start, source, model, input, output, observed_at @ ..] = words.as_slice() else {
        return Err(unreadable("whole"));
    };
    let half_hour = hour_start.parse().ok().and_then(HalfHour::new).ok_or_else(|| unreadable("hour_start"))?;
    let observed_at = match observed_at.first().map(|text| text.parse()) {
        Some(instant) => {
            let instant = instant.map_err(|_| unreadable("observed_at"))?;
            Some(draft.observed_at(instant).map_err(untimely)?)
        }
        None => None,
    };
    let counts = TokenCounts {
        input_tokens: input.parse().map_err(|_| unreadable("input"))?,
        output_tokens: output.parse().map_err(|_| unreadable("output"))?,
        ..TokenCounts::default()
    };
    Ok(Snapshot {
        hour_start: draft.hour_start(half_hour).map_err(untimely)?,
        source: draft.source(source).map_err(|unlisted| unlisted.at(place("source")))?,
        model: Model::parse(model).map_err(|_| unreadable("model"))?,
        counts,
        observed_at,
        firmness: Firmness::Ordinary,
    })
}

/// The whole protocol. It answers with the verdicts in one line, then a line for each rejection.
async fn post_lines(device: Device, intake: Intake, headers: HeaderMap, body: String) -> Result<Response, Problem> {
    let handling = if headers.contains_key("handling") { Handling::Lenient } else { Handling::Strict };
    let draft = intake.admit(body.lines().count())?;
    let key = IdempotencyKey::read(&headers, &device, "POST /lines", &[body.as_bytes()])?;
    let mut draft = draft.handled(handling).keyed(key);
    for (index, line) in body.lines().enumerate() {
        match snapshot(index + 1, line, &draft) {
            Ok(snapshot) => draft.add(snapshot),
            Err(violation) => draft.reject(vec![violation]),
        }
    }
    let receipt = intake.post(&device, draft).await?;
    let verdicts: Vec<_> = receipt.verdicts.iter().map(|verdict| verdict.as_str()).collect();
    let mut lines = vec![verdicts.join(" ")];
    lines.extend(receipt.rejections.iter().map(|why| format!("{}: {} {}", why.index, why.pointer, why.code)));
    let mut response = lines.join("\n").into_response();
    let headers = response.headers_mut();
    headers.insert("replayed", receipt.replayed.to_string().parse().unwrap());
    headers.insert("executed", receipt.request_id.to_string().parse().unwrap());
    if let Some(granted) = receipt.granted {
        granted.describe(headers);
    }
    Ok(response)
}

/// A server that speaks the protocol, a user and a device of theirs.
struct Lines {
    app: TestApp,
    me: TestUser,
    device: TestDevice,
    router: Router,
}

impl Lines {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let app = TestApp::start_with(change).await;
        let me = app.user("me", "UTC").await;
        let device = app.device(&me, "laptop").await;
        let anonymous = AnonymousCallers::new(Addresses::new(&[]), None, None);
        let (read, cache) = (app.pools.read.clone(), TokenCache::new(REVOCATION_BOUND));
        let authenticator = Authenticator::new(server_key(), read, cache, anonymous.clone(), app.clock.clone());
        let line = Arc::new(RequestLine {
            deadline: Duration::from_secs(10),
            streaming_routes: &[],
            public_url: app.url.as_str().into(),
            operations: Arc::new(HashMap::new()),
            anonymous_callers: anonymous,
            tracer: Tracer::off(),
            manners: Vec::new(),
        });
        let router = Router::new()
            .route("/lines", post(post_lines))
            .route_layer(from_fn_with_state(authenticator, require_principal))
            .layer(from_fn_with_state(line, observe))
            .with_state(app.intake().clone());
        Self { app, me, device, router }
    }

    async fn send(&self, token: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let request = axum::http::Request::post("/lines").header("authorization", format!("Bearer {token}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Reply { status, headers, body, json }
    }

    async fn post(&self, headers: &[(&str, &str)], lines: &[&str]) -> Reply {
        self.send(&self.device.token, headers, lines.join("\n")).await
    }

    /// What is stored, in the order of the key.
    async fn stored(&self) -> Vec<String> {
        let sql =
            "select concat_ws(' ', to_char(hour_start at time zone 'UTC', 'HH24:MI'), source, model, input_tokens,
                       output_tokens, stamped)
                   from usage.bucket order by hour_start, source, model";
        self.app.ask(sql).await
    }
}

/// The answer's lines.
#[track_caller]
fn answered(reply: &Reply) -> Vec<&str> {
    let text = str::from_utf8(&reply.body).unwrap();
    assert_eq!(reply.status, 200, "{text}");
    text.lines().collect()
}

/// What a refusal objects to.
#[track_caller]
fn objections(reply: &Reply) -> Vec<String> {
    let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    errors.iter().map(|error| format!("{} {}", text(&error["pointer"]), text(&error["code"]))).collect()
}

#[tokio::test]
async fn another_protocol_posts_with_one_verdict_a_line_and_what_it_posted_is_durable() {
    let lines = Lines::start().await;
    let stamped = "2026-11-20T10:30:00Z codex stamped 1 0 2026-11-20T10:40:00Z";
    let older = "2026-11-20T10:30:00Z codex stamped 9 0 2026-11-20T10:39:00Z";
    let first = lines.post(STRICT, &[GOOD, stamped]).await;
    assert_eq!(answered(&first), ["inserted inserted"]);
    assert_eq!(first.header("executed"), first.header("x-request-id"));
    let second = lines.post(STRICT, &["2026-11-20T10:30:00Z codex m 8 5", stamped, older]).await;
    assert_eq!(answered(&second), ["updated unchanged stale"]);
    assert_eq!(lines.stored().await, ["10:30 codex m 8 5 f", "10:30 codex stamped 1 0 t"]);
    assert_eq!(answered(&lines.post(STRICT, &[]).await), [""; 0]);
    lines.send("hhd_nobody", STRICT, GOOD).await.expect_problem(401, "unauthorized");
    lines.send(&lines.me.viewer, STRICT, GOOD).await.expect_problem(403, "wrong_principal");
}

#[tokio::test]
async fn while_posting_is_off_no_protocol_reads_a_body() {
    let lines = Lines::start().await;
    lines.app.switches().set(Switch::Ingest, false);
    let read = Arc::new(AtomicBool::new(false));
    let body = |read: Arc<AtomicBool>| {
        Body::from_stream(stream::once(async move {
            read.store(true, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_static(GOOD.as_bytes()))
        }))
    };
    let refused = lines.send(&lines.device.token, STRICT, body(read.clone())).await;
    refused.expect_problem(503, "switched_off");
    assert_eq!((refused.header("retry-after"), read.load(Ordering::Relaxed)), ("30", false));
    // Nor does the door open for who got hold of it before.
    assert_eq!(lines.app.intake().admit(1).unwrap_err().code().as_str(), "switched_off");
    lines.send(&lines.me.viewer, STRICT, GOOD).await.expect_problem(403, "wrong_principal");
    assert_eq!(lines.stored().await, [""; 0]);

    lines.app.switches().set(Switch::Ingest, true);
    assert_eq!(answered(&lines.send(&lines.device.token, STRICT, body(read.clone())).await), ["inserted"]);
    assert!(read.load(Ordering::Relaxed));
}

#[tokio::test]
async fn what_a_device_may_post_in_an_hour_is_one_sum_over_all_protocols() {
    let lines = Lines::start_with(|settings| settings.limits.device_buckets_per_hour = 4).await;
    let refusals = async || lines.app.counter(&lines.me, r#"halfhour_limit_refusals_total{limit="buckets"}"#).await;
    let own = serde_json::json!({"buckets": [
        {"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "own"},
    ]});
    lines.app.post_buckets(&lines.device.token, &own).await.expect_ok();
    let granted = lines.post(LENIENT, &[GOOD, "?"]).await;
    assert_eq!(answered(&granted)[0], "inserted rejected");
    let fields = [granted.header("ratelimit-policy"), granted.header("ratelimit")];
    assert_eq!(fields, ["\"buckets\";q=4;w=3600", "\"buckets\";r=1;t=2700"], "what is rejected counts, too");

    let before = refusals().await;
    let refused = lines.post(STRICT, &["2026-11-20T10:30:00Z codex new 1 1", GOOD]).await;
    let problem = refused.expect_problem(429, "rate_limited");
    assert!(problem["detail"].as_str().unwrap().contains("4 an hour"), "{problem}");
    assert_eq!(refused.headers.get_all("ratelimit").iter().collect::<Vec<_>>(), ["\"buckets\";r=0;t=3600"]);
    assert_eq!(refused.headers.get_all("ratelimit-policy").iter().count(), 1);
    assert!((1..=900).contains(&refused.header("retry-after").parse::<u32>().unwrap()), "{:?}", refused.headers);
    // Other tests count at the same time, in the same process.
    assert!(refusals().await > before);
    assert_eq!(lines.stored().await, ["10:30 codex m 7 5 f", "10:30 codex own 0 0 f"]);
    lines.post(STRICT, &["?", "?"]).await.expect_problem(422, "invalid");
    assert_eq!(answered(&lines.post(STRICT, &[GOOD]).await), ["unchanged"], "a refusal takes nothing");
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_rejected_beside_the_others_or_refuses_them() {
    let lines = Lines::start().await;
    let mixed = ["nonsense", GOOD, "2026-11-20T10:31:00Z codex m 1 1", "2026-11-20T10:30:00Z codex n 1 1"];
    let refused = lines.post(STRICT, &mixed).await;
    assert_eq!(objections(&refused), ["line 1, whole unreadable", "line 3, hour_start unreadable"]);
    assert_eq!(lines.stored().await, [""; 0]);
    let reply = lines.post(LENIENT, &mixed).await;
    let expected =
        ["rejected inserted rejected inserted", "0: line 1, whole unreadable", "2: line 3, hour_start unreadable"];
    assert_eq!(answered(&reply), expected);
    assert_eq!(lines.stored().await, ["10:30 codex m 7 5 f", "10:30 codex n 1 1 f"]);
    let nothing = lines.post(LENIENT, &["?", "?"]).await;
    assert_eq!(answered(&nothing), ["rejected rejected", "0: line 1, whole unreadable", "1: line 2, whole unreadable"]);
}

#[tokio::test]
async fn a_repeated_key_gets_its_first_answer_rejections_and_all_also_once_it_is_too_old() {
    let lines = Lines::start().await;
    let keyed = &[("idempotency-key", "one"), LENIENT[0]];
    let mixed = ["?", "2026-11-20T10:30:00Z codex m 7 5", "2020-01-01T00:00:00Z codex m 1 1"];
    let first = lines.post(keyed, &mixed).await;
    let expected = ["rejected inserted rejected", "0: line 1, whole unreadable", "2: line 3, hour_start too_old"];
    assert_eq!((answered(&first), first.header("replayed")), (expected.to_vec(), "false"));
    let strict = &keyed[..1];
    let sound = lines.post(&[("idempotency-key", "two")], &[GOOD]).await;
    assert_eq!(answered(&sound), ["unchanged"]);

    for now in ["2026-11-20T12:00:00Z", "2028-01-01T00:00:00Z"] {
        lines.app.clock.set(now.parse().unwrap());
        let again = lines.post(keyed, &mixed).await;
        assert_eq!((answered(&again), again.header("replayed")), (expected.to_vec(), "true"), "{now}");
        assert_eq!(again.header("executed"), first.header("executed"));
        assert_eq!(line(again.header("x-request-id"))["idempotency"], "replayed");
        let again = lines.post(&[("idempotency-key", "two")], &[GOOD]).await;
        assert_eq!((answered(&again), again.header("replayed")), (vec!["unchanged"], "true"), "{now}");
        lines.post(strict, &["2026-11-20T10:30:00Z codex m 8 5"]).await.expect_problem(422, "idempotency_key_reused");
    }
    lines.post(STRICT, &[GOOD]).await.expect_problem(422, "invalid");
    assert_eq!(lines.app.ask("select count(*)::text from usage.idempotency").await, ["2"]);
}

#[tokio::test]
async fn the_rules_of_time_are_the_doors_and_name_the_field() {
    let lines = Lines::start().await;
    let bad = [
        "2025-10-16T11:30:00Z codex m 1 1",
        "2026-11-20T12:30:00Z codex m 1 1",
        "2026-11-20T12:00:00Z codex m 1 1 2026-11-20T12:05:01Z",
    ];
    let expected =
        ["line 1, hour_start too_old", "line 2, hour_start in_future", "line 3, observed_at observed_at_in_future"];
    assert_eq!(objections(&lines.post(STRICT, &bad).await), expected);
    let oldest = "2025-10-16T12:00:00Z codex m 1 1";
    let newest = "2026-11-20T12:00:00Z codex m 1 1 2026-11-20T12:05:00Z";
    let reply = lines.post(LENIENT, &[oldest, bad[0], newest, bad[1], bad[2]]).await;
    assert_eq!(answered(&reply)[0], "inserted rejected inserted rejected rejected");
    assert_eq!(lines.stored().await, ["12:00 codex m 1 1 f", "12:00 codex m 1 1 t"]);
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_unread_and_more_than_a_post_holds_whole() {
    let lines = Lines::start().await;
    let flood = lines.post(LENIENT, &vec!["?"; 32_001]).await;
    flood.expect_problem(503, "overloaded");
    assert_eq!(flood.header("retry-after"), "1");
    for headers in [STRICT, LENIENT] {
        lines.post(headers, &[GOOD; 501]).await.expect_problem(413, "batch_too_large");
    }
    assert_eq!(lines.stored().await, [""; 0]);
    let most = lines.post(STRICT, &[GOOD; 500]).await;
    assert_eq!(answered(&most)[0].split(' ').count(), 500);
    assert_eq!(lines.app.writer().queued_rows(), 0);
}
