//! What operators can see: the state of the process and of the outbox, and what was counted.

use serde_json::json;

use crate::support::TestApp;
use crate::support::rollups::Usage;

#[tokio::test]
async fn the_status_says_what_waits_what_was_set_aside_and_why() {
    let app = TestApp::start_with(|settings| settings.retention_days = Some(500)).await;
    app.refresh_switches().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let status = async || app.get(&user.operator, "/v1/status").await.expect_ok().clone();
    let empty = |lane: &str| json!({"lane": lane, "waiting": 0, "parked": 0, "oldest_at": null, "age_seconds": null});
    let before = status().await;
    assert_eq!(before["backlog"], json!([empty("live"), empty("bulk"), empty("whole")]));
    assert_eq!(
        (&before["parked"], &before["retention_days"], &before["queued_rows"]),
        (&json!([]), &json!(500), &json!(0))
    );
    assert_eq!(before["release"], env!("CARGO_PKG_VERSION"));
    let said = before.as_object().unwrap().get("private_postgres");
    assert_eq!(said, Some(&json!(null)), "this database is nobody's own");
    let on = ["ingest", "relay", "backfill", "retention"].map(|name| json!({"name": name, "is_on": true}));
    assert_eq!(before["switches"], json!(on));

    let bucket = Usage::input("2026-11-20T10:30:00Z", 5);
    app.post_usage(&device, &[bucket]).await;
    let waits = status().await;
    assert_eq!(waits["backlog"][0]["waiting"], 1, "{waits}");
    assert!(waits["backlog"][0]["oldest_at"].is_string() && waits["backlog"][0]["age_seconds"].is_u64(), "{waits}");

    app.tell("update usage.outbox set parked_at = now(), attempts = 10, last_error = '23514 daily_pkey'").await;
    let parked = status().await;
    assert_eq!((&parked["backlog"][0]["waiting"], &parked["backlog"][0]["parked"]), (&json!(0), &json!(1)));
    let event = &parked["parked"][0];
    let said = (&event["user_id"], &event["utc_day"], &event["attempts"], &event["last_error"]);
    assert_eq!(said, (&json!(user.user_id), &json!("2026-11-20"), &json!(10), &json!("23514 daily_pkey")));
}

#[tokio::test]
async fn a_hundred_parked_events_are_shown_and_all_are_counted() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    app.tell(&format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, parked_at)
         select '{}', 'bucket_changed', '2026-11-20', now(), now(), 'live', gen_random_uuid(), now() - n * interval '1 minute'
         from generate_series(1, 101) n",
        user.user_id
    ))
    .await;
    let status = app.get(&user.operator, "/v1/status").await.expect_ok().clone();
    assert_eq!(status["backlog"][0]["parked"], 101);
    let shown = status["parked"].as_array().unwrap();
    assert_eq!((shown.len(), &shown[0]["id"], &shown[99]["id"]), (100, &json!(101), &json!(2)), "the first ones first");
}

#[tokio::test]
async fn the_status_needs_the_database_and_the_metrics_do_not() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let status = app.get(&user.operator, "/v1/status").await.expect_ok().clone();
    let names: Vec<_> = status["pools"].as_array().unwrap().iter().map(|pool| pool["name"].clone()).collect();
    assert_eq!(names, ["ingest", "read", "worker"]);
    assert_eq!((&status["pools"][1]["max"], &status["pools"][2]["in_use"]), (&json!(4), &json!(0)));
    app.pools.worker.close().await;
    app.get(&user.operator, "/v1/status").await.expect_problem(503, "database_unavailable");
    assert_eq!(app.get(&user.operator, "/metrics").await.status, 200);
}
