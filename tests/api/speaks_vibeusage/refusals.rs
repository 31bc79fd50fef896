//! What is refused, and how: by the names that were sent, and passing faults so that the dashboard tries again.

use std::time::Duration;

use reqwest::Method;

use super::{NAMES, counts, read, somebody};
use crate::support::rollups::Usage;
use crate::support::{Proxy, Reply, TestApp};

const READS: [&str; 6] =
    ["usage-summary", "usage-daily", "usage-hourly", "usage-monthly", "usage-heatmap", "usage-model-breakdown"];

/// The pointers and codes of a refusal.
#[track_caller]
fn violations(reply: &Reply) -> Vec<(String, String)> {
    let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap().clone();
    let text = |error: &serde_json::Value, name: &str| error[name].as_str().unwrap().to_owned();
    errors.iter().map(|error| (text(error, "pointer"), text(error, "code"))).collect()
}

#[tokio::test]
async fn what_is_wrong_is_told_by_the_names_that_were_sent() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    for (slug, query, pointer, code) in [
        ("usage-summary", "from=2026-02-30", "?from", "not_a_date"),
        ("usage-summary", "from=2026-11-02&to=2026-11-01", "?from", "range_is_reversed"),
        ("usage-daily", "from=2026-11-21", "?from", "range_is_reversed"),
        ("usage-daily", "from=2024-01-01&to=2026-11-20", "?from", "range_too_long"),
        ("usage-model-breakdown", "to=20261120", "?to", "not_a_date"),
        ("usage-hourly", "day=today", "?day", "not_a_date"),
        ("usage-hourly", "from=2026-11-01", "?from", "unknown_parameter"),
        ("usage-monthly", "months=25", "?months", "out_of_range"),
        ("usage-monthly", "months=0", "?months", "out_of_range"),
        ("usage-heatmap", "weeks=105", "?weeks", "out_of_range"),
        ("usage-heatmap", "week_starts_on=sat", "?week_starts_on", "unknown_week_start"),
        ("usage-summary", "tz=Nowhere/Land", "?tz", "unknown_time_zone"),
        ("usage-hourly", "tz=CET&tz_offset_minutes=60", "?tz", "unknown_time_zone"),
        ("usage-heatmap", "tz_offset_minutes=210", "?tz_offset_minutes", "no_fixed_zone"),
        ("usage-daily", "tz=UTC&tz_offset_minutes=1e2", "?tz_offset_minutes", "out_of_range"),
        ("usage-daily", "source=two%20words", "?source", "malformed_source"),
        ("usage-summary", "model=%00", "?model", "malformed_model"),
        ("usage-summary", "debug=1", "?debug", "unknown_parameter"),
    ] {
        for prefix in NAMES {
            let reply = app.get(&user.viewer, &format!("{prefix}{slug}?{query}")).await;
            assert_eq!(violations(&reply), [(pointer.to_owned(), code.to_owned())], "{slug}?{query}");
        }
    }
    assert_eq!(app.pools.read.load().in_use, 0, "a refusal holds no connection");
}

#[tokio::test]
async fn only_viewers_are_answered() {
    let app = TestApp::start().await;
    let (user, device) = somebody(&app, "UTC", &[]).await;
    for (slug, prefix) in READS.into_iter().flat_map(|slug| NAMES.map(|prefix| (slug, prefix))) {
        let path = format!("{prefix}{slug}");
        app.get(&device.token, &path).await.expect_problem(403, "wrong_principal");
        app.get(&user.operator, &path).await.expect_problem(403, "wrong_principal");
        app.request(Method::GET, &path).send().await.expect_problem(401, "unauthorized");
    }
}

#[tokio::test]
async fn days_whose_buckets_were_removed_are_served_in_the_users_own_zone_only() {
    let app = TestApp::start().await;
    let hours = ["2026-11-10T10:00:00Z", "2026-11-19T10:00:00Z"];
    let (user, _) = somebody(&app, "Europe/Berlin", &hours.map(|hour| Usage::input(hour, 5))).await;
    app.retention(3).run_pass().await.unwrap();
    let own = read(&app, &user, "usage-summary", "from=2026-11-01").await.json;
    assert_eq!(counts(&own["totals"])[0], 10);
    for (slug, query, pointer) in [
        ("usage-summary", "from=2026-11-01&tz=UTC", "?from"),
        ("usage-heatmap", "tz=UTC", "?weeks"),
        ("usage-monthly", "tz=UTC", "?months"),
        ("usage-hourly", "day=2026-11-10", "?day"),
    ] {
        let reply = app.get(&user.viewer, &format!("{}{slug}?{query}", NAMES[0])).await;
        assert_eq!(violations(&reply), [(pointer.to_owned(), "before_retention_horizon".to_owned())], "{slug}");
    }
    let later = read(&app, &user, "usage-summary", "from=2026-11-19&tz=UTC").await.json;
    assert_eq!(counts(&later["totals"])[0], 5);
}

#[tokio::test]
async fn a_database_that_says_nothing_is_503_or_504_and_all_is_well_afterwards() {
    let app = TestApp::start().await;
    let (user, _) = somebody(&app, "UTC", &[Usage::input("2026-11-20T10:00:00Z", 5)]).await;
    let proxy = Proxy::before_database_of(&app);
    let server =
        app.second_server_through_with(&proxy, |settings| settings.request_deadline = Duration::from_secs(2)).await;
    let path = format!("{}usage-hourly?day=2026-11-20", NAMES[0]);
    let recovered = async || {
        while server.get(&user.viewer, &path).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), recovered()).await.unwrap();
    proxy.silence(true);
    let reply = server.get(&user.viewer, &path).await;
    assert!([503, 504].contains(&reply.status), "{} {}", reply.status, reply.json);
    assert!(reply.json["code"] == "database_unavailable" || reply.json["code"] == "deadline_exceeded");
    proxy.silence(false);
    tokio::time::timeout(Duration::from_secs(30), recovered()).await.unwrap();
}

const ORIGIN: &str = "https://dashboard.example";

#[tokio::test]
async fn a_page_of_a_listed_origin_may_ask_with_a_token() {
    let app = TestApp::start_with(|settings| settings.cors_origins = vec![ORIGIN.parse().unwrap()]).await;
    let posts = ("link-code-init", "POST");
    for (slug, method) in READS.map(|slug| (slug, "GET")).into_iter().chain([posts]) {
        for prefix in NAMES {
            let preflight = app.request(Method::OPTIONS, &format!("{prefix}{slug}")).header("origin", ORIGIN);
            let preflight = preflight.header("access-control-request-method", method);
            let preflight = preflight.header("access-control-request-headers", "authorization,content-type");
            let reply = preflight.send().await;
            assert_eq!((reply.status, reply.body.len()), (204, 0), "{slug}");
            assert_eq!(reply.header("access-control-allow-origin"), ORIGIN);
            assert!(reply.header("access-control-allow-methods").contains(method), "{slug}");
            let allowed = reply.header("access-control-allow-headers");
            assert!(allowed.contains("authorization") && allowed.contains("content-type"), "{allowed}");
        }
    }
    let user = app.user("ann", "UTC").await;
    let path = format!("{}usage-summary", NAMES[0]);
    let reply = app.request(Method::GET, &path).bearer(&user.viewer).header("origin", ORIGIN).send().await;
    assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, ORIGIN));
    let other = app.request(Method::OPTIONS, &path).header("origin", "https://evil.example");
    let other = other.header("access-control-request-method", "GET").send().await;
    assert_eq!(other.header("access-control-allow-origin"), "");
}
