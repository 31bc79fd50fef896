//! Metrics: what every layer counts, under few labels that no caller can choose.

use std::collections::BTreeSet;

use halfhour::features::operations::{METRICS, Metric};
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
    let document = app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone();
    let paths = document["paths"].as_object().unwrap();
    let operations: usize = paths.values().map(|path| path.as_object().unwrap().len()).sum();
    let pages = halfhour::app::page_routes().len();
    assert!(routes.len() <= operations + pages + 1, "{routes:?}");
}

/// The labels of a series such as `name{a="b",c="d"} 1`.
fn labels(series: &str) -> BTreeSet<&str> {
    let inside = series.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
    inside.split("\",").filter_map(|pair| Some(pair.split_once("=\"")?.0)).collect()
}

/// The alerts and the dashboard are compared with the catalogue, and here is what makes the catalogue true.
#[tokio::test]
async fn every_series_is_of_the_kind_and_has_the_labels_that_the_catalogue_says() {
    let app = TestApp::start_with(|settings| {
        settings.limits.viewer = 1;
        settings.retention_days = Some(400);
        settings.ingest_max_age_days = Some(100);
    })
    .await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:30:00Z", 5)]).await;
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
    app.get(&user.viewer, "/v1/rollups").await.expect_problem(429, "rate_limited");
    app.note_token_uses().await;
    app.drain().await;
    // A failure: the switch answers 503.
    let thrown = serde_json::json!({ "is_on": false, "reason": "test" });
    app.request(Method::PUT, "/v1/switches/ingest").bearer(&user.operator).json(&thrown).send().await.expect_ok();
    let body = serde_json::json!({ "buckets": [] });
    app.request(Method::POST, "/v1/buckets")
        .bearer(&device.token)
        .json(&body)
        .send()
        .await
        .expect_problem(503, "switched_off");
    let text = scrape(&app, &user).await;
    let mut seen = BTreeSet::new();
    let mut metric: Option<&Metric> = None;
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap();
            metric = METRICS.iter().find(|metric| metric.name == name);
            assert_eq!(metric.map(|metric| metric.kind), Some(kind), "{name}");
            seen.insert(name);
        } else if !line.starts_with('#') && !line.is_empty() {
            let known = metric.unwrap();
            let mut found = labels(line);
            found.remove("le");
            assert_eq!(found, known.labels.iter().copied().collect(), "{line}");
        }
    }
    for name in ["halfhour_failures_total", "halfhour_expiring_tokens_in_use", "halfhour_request_seconds"] {
        assert!(seen.contains(name), "{name} was not looked at: {seen:?}");
    }
    let failure = r#"halfhour_failures_total{function="ingest_buckets","#;
    assert!(text.lines().any(|line| line.starts_with(failure) && line.contains("switched_off")), "{text}");
}

#[tokio::test]
async fn every_metric_says_what_it_is_and_none_is_unknown() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    scrape(&app, &user).await;
    let text = scrape(&app, &user).await;
    let known: BTreeSet<_> = METRICS.iter().map(|metric| metric.name).collect();
    let typed: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(typed.len() > 5, "only {typed:?} were looked at");
    for name in typed {
        assert!(known.contains(name), "{name} is not in METRICS");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}
