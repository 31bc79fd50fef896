//! Every way in which the route says no, and that nothing is written then.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Tracker, bucket, rows, snapshot};
use crate::support::TestApp;

#[tokio::test]
async fn only_devices_may_post() {
    let tracker = Tracker::start().await;
    let body = json!({"buckets": [snapshot(1, 40)]});
    let mut forged = tracker.device.token.clone().into_bytes();
    forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for token in ["", "hhd_nothing", &forged] {
        tracker.app.post_buckets(token, &body).await.expect_problem(401, "unauthorized");
    }
    let anonymous = tracker.app.request(Method::POST, "/v1/buckets").json(&body).send().await;
    anonymous.expect_problem(401, "unauthorized");
    assert_eq!(anonymous.header("www-authenticate"), "Bearer realm=\"halfhour\"");
    for token in [&tracker.me.viewer, &tracker.me.operator] {
        tracker.app.post_buckets(token, &body).await.expect_problem(403, "wrong_principal");
    }
    let unreadable = tracker.app.request(Method::POST, "/v1/buckets").bearer(&tracker.me.viewer).body("{").send().await;
    unreadable.expect_problem(403, "wrong_principal");
    let put = tracker.app.request(Method::PUT, "/v1/buckets").bearer(&tracker.device.token).json(&body).send().await;
    put.expect_problem(405, "method_not_allowed");
    assert!(tracker.rows().await.is_empty());
}

#[tokio::test]
async fn one_bad_bucket_fails_the_request_with_every_violation_and_nothing_is_written() {
    let tracker = Tracker::start().await;
    let bad = [
        (json!({"hour_start": "2026-11-20T10:31:00Z"}), "hour_start", "not_a_half_hour"),
        (json!({"hour_start": "2019-12-31T23:30:00Z"}), "hour_start", "before_2020"),
        (json!({"hour_start": "2025-10-16T11:30:00Z"}), "hour_start", "too_old"),
        (json!({"hour_start": "2026-11-20T12:30:00Z"}), "hour_start", "in_future"),
        (json!({"hour_start": 1_763_634_600}), "hour_start", "wrong_type"),
        (json!({"hour_start": "2016-12-31T23:59:60Z"}), "hour_start", "not_an_instant"),
        (json!({"observed_at": "2026-11-20T12:05:00.000001Z"}), "observed_at", "observed_at_in_future"),
        (json!({"observed_at": null}), "observed_at", "wrong_type"),
        (json!({"source": "windsurf"}), "source", "unknown_source"),
        (json!({"model": "gpt 5 "}), "model", "malformed_model"),
        (json!({"input_tokens": 1.5}), "input_tokens", "not_an_integer"),
        (json!({"input_tokens": "1"}), "input_tokens", "wrong_type"),
        (json!({"request_count": 1_000_000_000_001_i64}), "request_count", "out_of_range"),
        (json!({"request_count": u64::MAX}), "request_count", "out_of_range"),
        (json!({"output_tokens": -1}), "output_tokens", "out_of_range"),
        (json!({"reasoning_tokens": 2, "output_tokens": 1}), "reasoning_tokens", "reasoning_exceeds_output"),
        (json!({"tokens": 1}), "tokens", "unknown_field"),
    ];
    let mut buckets = vec![snapshot(1, 40)];
    buckets.extend(bad.iter().map(|(fields, ..)| bucket(fields)));
    let reply = tracker.post(&buckets).await;
    let problem = reply.expect_problem(422, "invalid");
    assert_eq!((&problem["fault"], &problem["retry"]), (&"client".into(), &"never".into()));
    let found: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|e| (e["pointer"].clone(), e["code"].clone())).collect();
    let expected: Vec<(Value, Value)> = bad
        .iter()
        .enumerate()
        .map(|(position, (_, field, code))| (format!("/buckets/{}/{field}", position + 1).into(), (*code).into()))
        .collect();
    assert_eq!(found, expected);
    assert!(tracker.rows().await.is_empty() && tracker.events().await == 0);
}

#[tokio::test]
async fn a_hundred_violations_are_listed_and_the_rest_counted() {
    let tracker = Tracker::start().await;
    let reply = tracker.post(&vec![json!({"source": "codex"}); 60]).await;
    let problem = reply.expect_problem(422, "invalid");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 100);
    assert!(problem["detail"].as_str().unwrap().contains("120 violations"), "{problem}");
}

#[tokio::test]
async fn five_hundred_buckets_fit_and_one_more_does_not() {
    let tracker = Tracker::start().await;
    let buckets: Vec<_> = (0..501).map(|number| bucket(&json!({"model": format!("model-{number}")}))).collect();
    let reply = tracker.post(&buckets).await;
    reply.expect_problem(413, "batch_too_large");
    assert!(tracker.rows().await.is_empty());
    assert_eq!(tracker.verdicts(&buckets[..500]).await, ["inserted"; 500]);
}

#[tokio::test]
async fn the_limit_of_age_is_the_servers_to_set() {
    let app = TestApp::start_with(|settings| settings.ingest_max_age_days = None).await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    let first = json!({"buckets": [bucket(&json!({"hour_start": "2020-01-01T00:00:00Z"}))]});
    app.post_buckets(&device.token, &first).await.expect_ok();
    assert_eq!(rows(&app, "hour_start = '2020-01-01T00:00:00Z'").await.len(), 1);
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let app = TestApp::start_with(|settings| settings.limits.device = 2).await;
    let me = app.user("me", "UTC").await;
    let (busy, calm) = (app.device(&me, "busy").await, app.device(&me, "calm").await);
    let body = json!({"buckets": []});
    for _ in 0..2 {
        app.post_buckets(&busy.token, &body).await.expect_ok();
    }
    let refused = app.post_buckets(&busy.token, &body).await;
    refused.expect_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    app.post_buckets(&calm.token, &body).await.expect_ok();
}
