//! vibe-usage of vibe-cafe, as it calls: uploads, settings, readings and deletions.

mod pairing;
mod rows;

use halfhour::config::Limits;
use halfhour::kernel::operations::switches::Switch;
use reqwest::Method;
use serde_json::{Value, json};

use crate::captures::{Slow, assert_shaped, capture, expected, standing, traces};
pub use crate::reporting::World;
use crate::reporting::row as changed;
use crate::support::{Reply, TestDevice};

const UPLOADS: &str = "/api/usage/ingest";

impl World {
    pub async fn ingest(&self, device: &TestDevice, buckets: &Value) -> Reply {
        capture("vc-ingest").send(&self.app, &device.token, &json!({ "buckets": buckets })).await
    }
}

/// A row with some members of its own.
pub fn row(changes: Value) -> Value {
    changed(&capture("vc-ingest").body()["buckets"][2], changes)
}

#[tokio::test]
async fn a_captured_upload_becomes_what_it_must_and_changes_nothing_twice() {
    let World { app, laptop, ann } = &World::new().await;
    let upload = capture("vc-ingest");
    let first = upload.replay(app, &laptop.token).await;
    assert_eq!(first.expect_ok(), &json!({"ingested": 7, "sessions": 0}));
    assert_eq!(standing(app, laptop).await, expected("vc-ingest"));
    let before = traces(app).await;
    for token in [format!("vbu_{}", laptop.token), format!("tt_{}", laptop.token), laptop.token.clone()] {
        assert_eq!(upload.replay(app, &token).await.expect_ok(), &json!({"ingested": 7, "sessions": 0}));
    }
    assert_eq!(traces(app).await, before);
    // One by one, and backwards, it comes to the same.
    let tablet = app.device(ann, "tablet").await;
    for bucket in upload.body()["buckets"].as_array().unwrap().iter().rev() {
        upload.send(app, &tablet.token, &json!({"buckets": [bucket]})).await.expect_ok();
    }
    assert_eq!(standing(app, &tablet).await, expected("vc-ingest"));
}

#[tokio::test]
async fn every_captured_call_is_answered_in_the_captured_shape() {
    let World { app, laptop, ann } = &World::new().await;
    for name in ["vc-settings", "vc-ingest-probe", "vc-ingest", "vc-account", "vc-summary", "vc-delete-host"] {
        let call = capture(name);
        let reply = call.replay(app, &laptop.token).await;
        assert_shaped(reply.expect_ok(), &call.answer);
        assert_eq!(reply.header("content-type"), "application/json", "{name}");
    }
    assert_eq!(capture("vc-settings").replay(app, &laptop.token).await.json, json!({"uploadProject": false}));
    let account = capture("vc-account").replay(app, &laptop.token).await.json;
    assert_eq!(
        account,
        json!({"account": {"handle": ann.name, "name": null}, "hasAnyData": false, "buckets": [], "sessions": []})
    );
}

#[tokio::test]
async fn a_reading_says_what_was_sent_in_the_trackers_words() {
    let World { app, laptop, ann } = &World::new().await;
    capture("vc-ingest").replay(app, &laptop.token).await.expect_ok();
    let tablet = app.device(ann, "tablet").await;
    let read =
        async |token: &str, days: u8| app.get(token, &format!("/api/usage?days={days}")).await.expect_ok().clone();
    let own = read(&laptop.token, 30).await;
    let sent = capture("vc-ingest").body();
    for bucket in sent["buckets"].as_array().unwrap() {
        let mut told = bucket.clone();
        told["bucketStart"] = bucket["bucketStart"].as_str().unwrap().replace(".000Z", "Z").into();
        told["estimatedCost"] = Value::Null;
        assert!(own["buckets"].as_array().unwrap().contains(&told), "{told} is not among {own}");
    }
    assert_eq!((own["buckets"].as_array().unwrap().len(), &own["hasAnyData"]), (7, &json!(true)));
    assert_eq!(read(&ann.viewer, 30).await, own, "a viewer sees all devices");
    let others = read(&tablet.token, 30).await;
    assert_eq!((&others["buckets"], &others["hasAnyData"]), (&json!([]), &json!(false)), "a device sees its own");
    assert_eq!(read(&laptop.token, 1).await["buckets"], json!([]));
    app.get(&laptop.token, "/api/usage?days=91").await.expect_problem(422, "invalid");
}

#[tokio::test]
async fn what_a_device_takes_back_is_its_own_and_may_be_sent_again() {
    let World { app, laptop, ann } = &World::new().await;
    let tablet = app.device(ann, "tablet").await;
    for device in [laptop, &tablet] {
        capture("vc-ingest").replay(app, &device.token).await.expect_ok();
    }
    let slow = Slow::begin(app, laptop, (UPLOADS, &capture("vc-ingest").body())).await;
    let deleted = capture("vc-delete-host").replay(app, &laptop.token).await;
    assert_eq!(deleted.expect_ok(), &json!({"deleted": 7, "sessions": 0}));
    assert_eq!((standing(app, laptop).await.len(), standing(app, &tablet).await.len()), (0, 7));
    let late = slow.end().await;
    assert_eq!(
        late,
        json!({"ingested": 0, "sessions": 0, "dropped":
        {"buckets": 7, "unknownSources": [], "unknownModels": 0, "implausible": 7}}),
        "it began before"
    );
    capture("vc-ingest").replay(app, &laptop.token).await.expect_ok();
    assert_eq!(standing(app, laptop).await, expected("vc-ingest"));
    let audit =
        "select concat_ws(' ', actor_kind, action, details ->> 'buckets') from ops.audit where actor_kind = 'device'";
    assert_eq!(app.ask(audit).await, ["device usage.erase 7"]);
}

#[tokio::test]
async fn an_upload_that_is_overtaken_does_not_win() {
    let World { app, laptop, .. } = &World::new().await;
    let old = json!({"buckets": [row(json!({"inputTokens": 1}))]});
    let slow = Slow::begin(app, laptop, (UPLOADS, &old)).await;
    let new = json!({"buckets": [row(json!({"inputTokens": 2}))]});
    capture("vc-ingest").send(app, &laptop.token, &new).await.expect_ok();
    let before = traces(app).await;
    assert_eq!(slow.end().await, json!({"ingested": 0, "sessions": 0, "protected": {"buckets": 1}}));
    assert_eq!(traces(app).await, before);
}

#[tokio::test]
async fn what_goes_wrong_is_told_so_that_the_tracker_does_the_right_thing() {
    let limits = Limits { device: 2, ..Limits::OFF };
    let World { app, laptop, ann } = &World::with_limits(limits).await;
    let told = |reply: &Reply, status: u16, code: &str| {
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        reply.expect_problem(status, code);
        assert!(text.starts_with(&format!(r#"{{"error":"{code}","message":""#)), "{text}");
        assert!(reply.json["nextActions"].is_string(), "{text}");
    };
    told(&capture("vc-settings").replay(app, "hhd_nobody").await, 401, "unauthorized");
    told(&capture("vc-ingest").replay(app, &ann.viewer).await, 403, "wrong_principal");
    app.switches().set(Switch::Ingest, false);
    let off = capture("vc-ingest").replay(app, &laptop.token).await;
    told(&off, 503, "switched_off");
    app.switches().set(Switch::Ingest, true);
    capture("vc-settings").replay(app, &laptop.token).await.expect_ok();
    // It gives up at the first 429, and tries 503 again.
    told(&capture("vc-settings").replay(app, &laptop.token).await, 503, "rate_limited");
    let tablet = app.device(ann, "tablet").await;
    let foreign = json!({"hourly": []});
    let reply = capture("vc-ingest").send(app, &tablet.token, &foreign).await;
    told(&reply, 422, "invalid");
    assert!(reply.json["details"][0].as_str().unwrap().contains("no body of this protocol"), "{}", reply.json);
    let unread =
        app.request(Method::POST, "/api/usage/ingest").bearer(&tablet.token).header("content-type", "application/json");
    told(&unread.body("{").send().await, 400, "malformed");
}

#[tokio::test]
async fn a_first_upload_of_a_year_ends_complete_within_the_default_limits() {
    let world = World::with_default_limits().await;
    let upload = async |batch: Value| {
        capture("vc-settings").replay(&world.app, &world.laptop.token).await.expect_ok();
        let reply = world.ingest(&world.laptop, &batch).await;
        assert_eq!(reply.expect_ok()["ingested"], 100, "{}", reply.json);
    };
    assert_eq!(world.uploads_a_year(100, |start| row(json!({ "bucketStart": start })), upload).await, 100);
}
