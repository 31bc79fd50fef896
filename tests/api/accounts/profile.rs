//! `GET` and `PATCH /v1/me`.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::violations;
use crate::support::TestApp;
use crate::support::rollups::Usage;

#[tokio::test]
async fn a_viewer_changes_its_zone_and_the_rollup_follows() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T23:30:00Z", 7)]).await;
    app.drain().await;
    let me = app.get(&user.viewer, "/v1/me").await;
    let expected =
        json!({"user_id": user.user_id, "name": "ann", "time_zone": "UTC", "created_at": me.json["created_at"]});
    assert_eq!(me.expect_ok(), &expected);
    assert_eq!(me.header("cache-control"), "private, no-cache");

    let changed = app.change_zone(&user, "Europe/Berlin").await;
    assert_eq!(changed.expect_ok()["time_zone"], "Europe/Berlin");
    let rollup = async || {
        let reply = app.get(&user.viewer, "/v1/rollups").await;
        let body = reply.expect_ok();
        (body["time_zone"].clone(), body["pending"].clone(), body["data"][0]["label"].clone())
    };
    assert_eq!(rollup().await, (json!("UTC"), json!(true), json!("2026-11-19")), "the old zone until it is rebuilt");
    app.drain().await;
    assert_eq!(rollup().await, (json!("Europe/Berlin"), json!(false), json!("2026-11-20")));
    assert_eq!(app.acts("viewer").await, [format!("user.zone {}", user.user_id)]);
}

#[tokio::test]
async fn a_zone_that_is_unknown_or_the_old_one_changes_nothing() {
    let app = TestApp::start().await;
    let user = app.user("ann", "Asia/Kathmandu").await;
    app.change_zone(&user, "Asia/Kathmandu").await.expect_ok();
    for unknown in ["Mars/Olympus", "+02:00", "asia/kathmandu", "", "UTC\0", &"x".repeat(65)] {
        let refused = app.change_zone(&user, unknown).await;
        refused.expect_problem(422, "invalid");
        assert_eq!(violations(&refused), [("/time_zone", "unknown_time_zone")], "{unknown}");
    }
    let patch =
        async |body| app.request(Method::PATCH, "/v1/me?verbose=1").bearer(&user.viewer).json(&body).send().await;
    assert_eq!(violations(&patch(json!({"time_zone": "UTC"})).await), [("?verbose", "unknown_parameter")]);
    let body = json!({"time_zone": 1, "name": "eve"});
    let refused = app.request(Method::PATCH, "/v1/me").bearer(&user.viewer).json(&body).send().await;
    assert_eq!(violations(&refused), [("/name", "unknown_field"), ("/time_zone", "wrong_type")]);
    assert_eq!(app.get(&user.viewer, "/v1/me").await.expect_ok()["time_zone"], "Asia/Kathmandu");
    assert_eq!(app.ask("select topic from usage.outbox").await, Vec::<String>::new());
    assert_eq!(app.acts("viewer").await, Vec::<String>::new());
}

#[tokio::test]
async fn changes_of_zone_that_race_end_in_one_zone_for_the_profile_and_the_rollup() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T23:30:00Z", 7)]).await;
    let zones = ["Pacific/Auckland", "America/New_York", "Europe/Berlin", "UTC"];
    let changes = join_all((0..12).map(|number| app.change_zone(&user, zones[number % zones.len()])));
    let (changes, ()) = tokio::join!(changes, app.drain());
    assert!(changes.iter().all(|reply| reply.status == 200), "{changes:?}");
    app.drain().await;
    let me = app.get(&user.viewer, "/v1/me").await;
    let rollups = app.get(&user.viewer, "/v1/rollups").await;
    assert_eq!(me.expect_ok()["time_zone"], rollups.expect_ok()["time_zone"]);
    assert_eq!(rollups.json["totals"]["input_tokens"], 7);
    assert_eq!(rollups.json["pending"], false);
}
