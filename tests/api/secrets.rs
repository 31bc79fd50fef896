//! Logs show no token, no code, no body and no key. Every line of this whole test run is judged as it is written, and
//! every test that ends fails where one was found; here it is shown that one would be.

use halfhour::app::telemetry;
use halfhour::kernel::access::TokenKind;
use reqwest::Method;
use serde_json::json;

use crate::support::logs::{Log, Sink, assert_no_leak, leak};
use crate::support::{TestApp, server_key};

/// A log of its own, with one line.
fn log_of(line: &str) -> &'static Log {
    let log: &'static Log = Box::leak(Box::new(Log::new()));
    let subscriber = telemetry::subscriber("info", move || Sink(log));
    tracing::subscriber::with_default(subscriber, || tracing::info!(error = line, "a planted line"));
    log
}

#[test]
fn a_secret_that_is_logged_is_caught() {
    let device = server_key().issue(TokenKind::Device).unwrap();
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z"}]}).to_string();
    for (planted, what) in [
        (device.reveal(), "a token"),
        (&format!("key (hash)=(x{})", device.reveal()), "a token"),
        (&format!("Bearer hhv_{}", "A".repeat(20)), "a token"),
        ("code 7K3M-9QXD-2VTA was wrong", "a link code"),
        (&body, "a body"),
        ("the tests' key, which is no secret", "the server's key"),
    ] {
        let leaks = log_of(planted).leaks();
        assert!(leaks.len() == 1 && leaks[0].starts_with(what), "{planted}: {leaks:?}");
    }
}

#[test]
fn what_belongs_into_a_log_is_no_leak() {
    for line in [
        r#"{"request_id":"01a1fbd2-04cd-7475-82af-448fd229c7ad","principal":{"kind":"device"}}"#,
        "the token hhd_ was cut, and hhv_short too",
        r#"column "hour_start" of relation "bucket", constraint bucket_hour_start_is_half_hour"#,
        "2026-11-20T10:30:00Z at 1234-5678",
    ] {
        assert_eq!(leak(line), None);
        assert_eq!(log_of(line).leaks(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn secrets_at_places_where_they_do_not_belong_are_not_logged() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let code = app.request(Method::POST, "/v1/link-codes").bearer(&user.viewer).send().await.json["code"].clone();
    let code = code.as_str().unwrap();
    for path in [format!("/v1/{code}"), format!("/v1/rollups?from={code}"), format!("/v1/{}", user.viewer)] {
        app.get(&user.viewer, &path).await;
    }
    app.get(&user.operator, &format!("/v1/switches/{}", device.token)).await.expect_problem(404, "not_found");
    let setting = json!({"is_on": true, "reason": device.token, &user.viewer[..]: code});
    app.request(Method::PUT, "/v1/switches/ingest").bearer(&user.operator).json(&setting).send().await;
    let body = json!({"buckets": [{"hour_start": device.token, "source": code, "model": user.operator}]});
    app.post_buckets(&device.token, &body).await.expect_problem(422, "invalid");
    let exchange = json!({"code": code, "request_id": code, "device_name": device.token});
    app.request(Method::POST, "/v1/link-codes/exchange").json(&exchange).send().await;
    // A database that fails makes the longest lines.
    app.tell("alter table account.link_code rename to elsewhere").await;
    app.request(Method::POST, "/v1/link-codes").bearer(&user.viewer).send().await.expect_problem(500, "internal");
    app.tell("alter table usage.bucket add constraint planted check (input_tokens <> 7)").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "m", "input_tokens": 7}]});
    app.post_buckets(&device.token, &body).await.expect_problem(500, "internal");
    assert_no_leak();
}
