//! Rows that cannot be taken, rows of several machines, and rows that come twice.

use reqwest::Method;
use serde_json::json;

use super::{World, row};
use crate::captures::standing;
use crate::support::TestDevice;

#[tokio::test]
async fn a_row_that_cannot_be_taken_holds_up_no_other_and_is_counted_by_its_kind() {
    let world = World::new().await;
    let buckets = json!([
        row(json!({})),
        row(json!({"model": "old", "bucketStart": "2025-10-01T00:00:00.000Z"})),
        row(json!({"model": "early", "bucketStart": "2026-11-29T00:30:00.000Z"})),
        row(json!({"model": "odd", "bucketStart": "2026-11-20T10:31:00.000Z"})),
        row(json!({"model": "negative", "inputTokens": -1})),
        row(json!({"source": "kiro", "model": "kiro-credits"})),
        row(json!({"source": "canary"})),
        row(json!({"source": "ztool"})),
        "?",
    ]);
    let reply = world.ingest(&world.laptop, &buckets).await;
    let expected = json!({"ingested": 1, "sessions": 0, "dropped":
        {"buckets": 8, "unknownSources": ["ztool"], "unknownModels": 1, "implausible": 6}});
    assert_eq!(reply.expect_ok(), &expected);
    assert_eq!(standing(&world.app, &world.laptop).await.len(), 1);
}

#[tokio::test]
async fn a_tool_that_may_not_report_yet_is_named_and_taken_once_it_may() {
    let world = World::new().await;
    let buckets = json!([row(json!({"source": "ZTool", "model": "m"}))]);
    let dropped = world.ingest(&world.laptop, &buckets).await.expect_ok()["dropped"].clone();
    assert_eq!(dropped, json!({"buckets": 1, "unknownSources": ["ZTool"], "unknownModels": 0, "implausible": 0}));
    assert!(standing(&world.app, &world.laptop).await.is_empty(), "nobody takes it for another tool");
    let allow = world.app.request(Method::POST, "/v1/sources").bearer(&world.ann.operator);
    assert_eq!(allow.json(&json!({"name": "ztool"})).send().await.status, 201);
    world.app.sources().refresh().await.unwrap();
    assert_eq!(world.ingest(&world.laptop, &buckets).await.expect_ok()["ingested"], 1);
    let standing = standing(&world.app, &world.laptop).await;
    assert!(standing[0].starts_with("ztool m "), "{standing:?}");
}

#[tokio::test]
async fn projects_of_one_half_hour_are_added_up_and_the_last_of_equal_ones_counts() {
    let world = World::new().await;
    let buckets = json!([
        row(json!({"project": "a", "inputTokens": 7})),
        row(json!({"project": "b"})),
        row(json!({"project": "a"})),
    ]);
    assert_eq!(world.ingest(&world.laptop, &buckets).await.expect_ok()["ingested"], 3);
    let twice = "codex gpt-5.2-codex 2026-11-20T11:00:00Z input=800 cache_read=1200 output=200 reasoning=80 total=2200";
    assert_eq!(standing(&world.app, &world.laptop).await, [twice]);
}

#[tokio::test]
async fn rows_of_an_account_are_one_devices_whoever_reports_them() {
    let world = World::new().await;
    let tablet = world.app.device(&world.ann, "tablet").await;
    let buckets = json!([row(json!({})), row(json!({"source": "cursor", "hostname": "cursor-cloud"}))]);
    for device in [&world.laptop, &tablet, &world.laptop] {
        assert_eq!(world.ingest(device, &buckets).await.expect_ok()["ingested"], 2);
        assert_eq!(standing(&world.app, device).await.len(), 1);
    }
    let devices = world.app.ask("select device_id::text from account.device where platform = 'cloud'").await;
    let [cloud] = devices.as_slice() else { panic!("{devices:?}") };
    let cloud = TestDevice { device_id: cloud.parse().unwrap(), token: String::new() };
    let standing = standing(&world.app, &cloud).await;
    assert_eq!((standing.len(), standing[0].starts_with("cursor ")), (1, true), "{standing:?}");
    let bob = world.app.user("bob", "UTC").await;
    let bobs = world.app.device(&bob, "laptop").await;
    assert_eq!(world.ingest(&bobs, &buckets).await.expect_ok()["ingested"], 2);
    assert_eq!(world.app.ask("select count(*)::text from account.device where platform = 'cloud'").await, ["2"]);
}
