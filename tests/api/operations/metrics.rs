//! Metrics: what every layer counts, under few labels that no caller can choose.

use std::collections::BTreeSet;

use halfhour::features::operations::METRICS;
use reqwest::Method;

use crate::support::rollups::Usage;
use crate::support::{TestApp, TestUser};

async fn scrape(app: &TestApp, user: &TestUser) -> String {
    let reply = app.get(&user.operator, "/metrics").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(reply.body).unwrap()
}

/// The value of one series; 0 where there is none yet.
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn every_layer_counts_what_it_does() {
    let app = TestApp::start_with(|settings| settings.limits.viewer = 1).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let before = scrape(&app, &user).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:30:00Z", 5)]).await;
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
    app.get(&user.viewer, "/v1/rollups").await.expect_problem(429, "rate_limited");
    app.drain().await;
    let after = scrape(&app, &user).await;
    // Other tests count at the same time, in the same process.
    for series in [
        r#"halfhour_request_seconds_count{route="POST /v1/buckets",status="2xx"}"#,
        r#"halfhour_request_seconds_count{route="GET /v1/rollups",status="2xx"}"#,
        r#"halfhour_request_seconds_count{route="GET /v1/rollups",status="4xx"}"#,
        r#"halfhour_request_seconds_bucket{route="POST /v1/buckets",status="2xx",le="+Inf"}"#,
        "halfhour_writer_batch_rows_count",
        "halfhour_writer_batch_rows_sum",
        r#"halfhour_token_cache_total{outcome="hit"}"#,
        r#"halfhour_token_cache_total{outcome="miss"}"#,
        r#"halfhour_limit_refusals_total{limit="viewer"}"#,
        r#"halfhour_relay_rounds_total{outcome="folded"}"#,
    ] {
        assert!(value(&after, series) >= value(&before, series) + 1.0, "{series} in {after}");
    }
    for series in [
        r#"halfhour_pool_connections{pool="ingest",state="max"}"#,
        r#"halfhour_switch_on{switch="ingest"}"#,
        r#"halfhour_postgres_upgrade{state="unusable"}"#,
        "halfhour_uptime_seconds",
        "halfhour_writer_queue_rows",
        "halfhour_clock_offset_seconds",
        "halfhour_log_lines_dropped_total",
    ] {
        assert!(after.lines().any(|line| line.starts_with(&format!("{series} "))), "{series} in {after}");
    }
}

#[tokio::test]
async fn no_caller_can_make_a_label() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let secret = "attackers-choice";
    app.get(&user.viewer, &format!("/v1/{secret}")).await.expect_problem(404, "not_found");
    app.get(&user.viewer, &format!("/v1/rollups?{secret}=1")).await.expect_problem(422, "invalid");
    app.get(&user.operator, &format!("/v1/switches/{secret}")).await.expect_problem(404, "not_found");
    let method = Method::from_bytes(secret.as_bytes()).unwrap();
    app.request(method, "/v1/rollups").bearer(&user.viewer).send().await.expect_problem(405, "method_not_allowed");
    let text = scrape(&app, &user).await;
    assert!(!text.contains(secret), "{text}");
    assert!(value(&text, r#"halfhour_request_seconds_count{route="unmatched",status="4xx"}"#) >= 2.0, "{text}");
    let routes: BTreeSet<_> =
        text.lines().filter_map(|line| line.split("route=\"").nth(1)?.split('"').next()).collect();
    assert!(routes.contains("GET /v1/switches/{name}"), "{routes:?}");
    assert!(routes.len() < 60, "{routes:?}");
}

#[tokio::test]
async fn every_metric_says_what_it_is_and_none_is_unknown() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    scrape(&app, &user).await;
    let text = scrape(&app, &user).await;
    let known: BTreeSet<_> = METRICS.iter().map(|(name, _)| *name).collect();
    let typed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(typed.len() > 5, "only {typed:?} were looked at");
    for name in typed {
        assert!(known.contains(name), "{name} is not in METRICS");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}
