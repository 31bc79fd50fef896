//! What TokenTracker sends, and how its device gets a token.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::captures::{assert_shaped, capture, standing};
use crate::reporting::{World, row as changed, taken};
use crate::support::{Reply, TestDevice};

impl World {
    async fn reported(&self, device: &TestDevice, rows: &Value) -> Reply {
        capture("tt-ingest").send(&self.app, &device.token, &json!({ "hourly": rows })).await
    }

    async fn approve(&self, code: &Value) {
        let request = self.app.request(Method::POST, "/v1/pairings").bearer(&self.ann.viewer);
        assert_eq!(request.json(&json!({ "code": code })).send().await.status, 201);
    }

    async fn authorize(&self, info: &str, machine: &str) -> Value {
        let body = json!({"client_info": info, "machine_id": machine});
        capture("tt-device-flow-authorize").send(&self.app, "", &body).await.expect_ok().clone()
    }

    async fn poll(&self, code: &Value) -> Reply {
        capture("tt-device-flow-poll-pending").send(&self.app, "", &json!({ "device_code": code })).await
    }

    async fn devices(&self) -> Vec<String> {
        let mut names = self.app.ask("select name from account.device").await;
        names.sort();
        names
    }
}

fn row(changes: Value) -> Value {
    changed(&capture("tt-ingest").body()["hourly"][0], changes)
}

#[tokio::test]
async fn captured_reports_become_what_they_must_and_change_nothing_twice() {
    let world = World::new().await;
    for name in ["tt-ingest", "tt-ingest-unknown"] {
        world.captured_report_becomes_what_it_must_and_changes_nothing_twice(name).await;
    }
}

#[tokio::test]
async fn rows_that_cannot_be_taken_are_skipped_and_of_a_bucket_that_comes_twice_the_larger_counts() {
    let world = World::new().await;
    let rows = json!([
        row(json!({"model": "twice", "input_tokens": 9, "total_tokens": 709})),
        row(json!({"model": "twice", "input_tokens": 3, "total_tokens": 703})),
        row(json!({"model": "old", "hour_start": "2025-10-01T00:00:00.000Z"})),
        row(json!({"model": "none", "source": null})),
        row(json!({"model": "early", "hour_start": "2026-12-29T00:30:00.000Z"})),
    ]);
    assert_eq!(world.reported(&world.laptop, &rows).await.expect_ok(), &taken(2, 3));
    let larger = "codex twice 2026-11-20T11:00:00Z input=9 cache_read=600 output=100 reasoning=40 total=709";
    assert_eq!(standing(&world.app, &world.laptop).await, [larger]);
    let sessions = json!({"account_session_states": [{"session_id": "x"}]});
    let reply = capture("tt-ingest").send(&world.app, &world.laptop.token, &sessions).await;
    assert_eq!(reply.expect_ok(), &taken(0, 0));
    let foreign = capture("tt-ingest").send(&world.app, &world.laptop.token, &capture("vc-ingest").body()).await;
    assert_eq!(foreign.expect_problem(422, "invalid")["errors"][0]["code"], "unknown_body");
}

#[tokio::test]
async fn rows_of_an_account_are_one_devices_whichever_machine_reports_them() {
    let world = World::new().await;
    let tablet = world.app.device(&world.ann, "tablet").await;
    let rows = json!([row(json!({})), row(json!({"source": "cursor"})), row(json!({"source": "trae-cn"}))]);
    for device in [&world.laptop, &tablet] {
        assert_eq!(world.reported(device, &rows).await.expect_ok(), &taken(3, 0));
        assert_eq!(standing(&world.app, device).await.len(), 1);
    }
    assert_eq!(world.app.ask("select count(*)::text from usage.bucket").await, ["4"]);
    assert_eq!(world.devices().await, ["accounts elsewhere", "laptop", "tablet"]);
}

#[tokio::test]
async fn a_machine_is_one_device_however_often_it_is_paired_and_another_one_of_its_name_gets_a_number() {
    let world = World::new().await;
    let begun = capture("tt-device-flow-authorize");
    let first = begun.replay(&world.app, "").await;
    assert_shaped(first.expect_ok(), &begun.answer);
    let code = &first.json["device_code"];
    assert_eq!(world.poll(code).await.expect_ok(), &json!({"status": "pending"}));
    world.approve(&first.json["user_code"]).await;
    let paired = world.poll(code).await.expect_ok().clone();
    assert_shaped(&paired, &capture("tt-device-flow-poll-approved").answer);
    assert_eq!(world.poll(code).await.json, paired, "a lost answer comes again");
    assert_eq!(paired["user_id"], world.ann.user_id.to_string());
    let token = paired["device_token"].as_str().unwrap();
    capture("tt-ingest").replay(&world.app, token).await.expect_ok();
    assert_eq!(world.devices().await, ["laptop", "laptop 2"]);

    let machine = begun.body()["machine_id"].as_str().unwrap().to_owned();
    let again = world.authorize("linux-x64 renamed", &machine).await;
    world.approve(&again["user_code"]).await;
    let repaired = world.poll(&again["device_code"]).await.expect_ok().clone();
    assert_eq!(repaired["device_id"], paired["device_id"]);
    assert_ne!(repaired["device_token"], paired["device_token"]);
    let other = world.authorize("linux-x64 laptop", "another").await;
    world.approve(&other["user_code"]).await;
    world.poll(&other["device_code"]).await.expect_ok();
    assert_eq!(world.devices().await, ["laptop", "laptop 2", "laptop 3"]);
    // By its owner's token it is the same machine, too.
    let body = json!({"device_name": "x", "machine_id": machine});
    let issue = world.app.request(Method::POST, "/functions/tokentracker-device-token-issue").bearer(&world.ann.viewer);
    assert_eq!(issue.json(&body).send().await.expect_ok()["device_id"], paired["device_id"]);
}

#[tokio::test]
async fn a_machine_of_two_owners_is_two_devices_and_a_revoked_one_comes_back_as_another() {
    let world = World::new().await;
    let bob = world.app.user("bob", "UTC").await;
    let issue = async |viewer: &str| {
        let request = world.app.request(Method::POST, "/functions/tokentracker-device-token-issue").bearer(viewer);
        request.json(&json!({"device_name": "m", "machine_id": "m"})).send().await.expect_ok()["device_id"].clone()
    };
    let (anns, bobs) = (issue(&world.ann.viewer).await, issue(&bob.viewer).await);
    assert_ne!(anns, bobs);
    assert_eq!(issue(&world.ann.viewer).await, anns);
    let revoke = world.app.request(Method::POST, &format!("/v1/devices/{}/revoke", anns.as_str().unwrap()));
    revoke.bearer(&world.ann.viewer).send().await.expect_ok();
    assert_ne!(issue(&world.ann.viewer).await, anns);
}

#[tokio::test]
async fn a_pairing_that_nobody_approves_in_time_has_expired_and_one_that_never_was_is_unknown() {
    let world = World::new().await;
    let begun = world.authorize("linux-x64 laptop", "m").await;
    world.app.clock.set(world.app.clock.now() + TimeDelta::minutes(16));
    let expired = world.poll(&begun["device_code"]).await;
    assert_eq!((expired.status, &expired.json), (410, &json!({"status": "expired"})));
    let unknown = world.poll(&json!("hhp_AAAA")).await;
    assert_eq!((unknown.status, &unknown.json), (404, &json!({"status": "unknown"})));
    world.poll(&json!(null)).await.expect_problem(422, "invalid");
}

#[tokio::test]
async fn what_it_tells_its_maker_is_answered_and_kept_nowhere() {
    let world = World::new().await;
    let telemetry = capture("tt-telemetry");
    assert_eq!(telemetry.replay(&world.app, "").await.expect_ok(), &telemetry.answer);
}

#[tokio::test]
async fn a_first_upload_of_a_year_ends_complete_within_the_default_limits() {
    let world = World::with_default_limits().await;
    let upload = async |batch: Value| {
        let rows = batch.as_array().unwrap().len();
        assert_eq!(world.reported(&world.laptop, &batch).await.expect_ok(), &taken(rows, 0));
    };
    assert_eq!(world.uploads_a_year(200, |start| row(json!({ "hour_start": start })), upload).await, 50);
}
