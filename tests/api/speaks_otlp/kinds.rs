//! A device counts or takes snapshots, for ever: its first post decides, also between two that race.

use serde_json::{Value, json};

use super::Tool;
use super::wire::{export, request};
use crate::support::{Reply, TestApp, TestDevice};

const KINDS: &str = "select counts::text from usage.device_kind";

fn snapshot() -> Value {
    json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "m", "input_tokens": 7}]})
}

fn one_record() -> Value {
    export(&[request(0, "2026-11-20T10:31:00Z", 10, 5)])
}

#[track_caller]
fn assert_refused(reply: &Reply, word: &str) {
    let detail = reply.expect_problem(409, "conflict")["detail"].as_str().unwrap();
    assert!(detail.contains(word) && detail.contains("Add another device"), "{detail}");
}

#[tokio::test]
async fn a_device_that_counts_takes_no_snapshots_whichever_server_is_asked() {
    let tool = Tool::start().await;
    let second = tool.app.second_server().await;
    // The second server remembers a device that has not decided yet.
    second.post_buckets(&tool.device.token, &json!({"buckets": []})).await.expect_ok();
    tool.app.export(&tool.device.token, &one_record()).await.expect_ok();
    for server in [&tool.app, &second, &tool.app.second_server().await] {
        assert_refused(&server.post_buckets(&tool.device.token, &snapshot()).await, "counts");
        server.export(&tool.device.token, &one_record()).await.expect_ok();
    }
    assert_eq!(
        (tool.says().await, tool.app.ask(KINDS).await),
        (vec!["10:30 10+5 of 1".to_owned()], vec!["true".to_owned()])
    );
}

#[tokio::test]
async fn a_device_that_takes_snapshots_counts_nothing_whichever_server_is_asked() {
    let tool = Tool::start().await;
    let second = tool.app.second_server().await;
    second.export(&tool.device.token, &export(&[])).await.expect_ok();
    tool.app.post_buckets(&tool.device.token, &snapshot()).await.expect_ok();
    for server in [&tool.app, &second, &tool.app.second_server().await] {
        assert_refused(&server.export(&tool.device.token, &one_record()).await, "snapshots");
        server.post_buckets(&tool.device.token, &snapshot()).await.expect_ok();
    }
    assert_eq!((tool.says().await, tool.ledger().await), (vec!["10:30 7+0 of 0".to_owned()], 0));
    assert_eq!(tool.app.ask(KINDS).await, ["false"]);
}

#[tokio::test]
async fn of_two_first_posts_that_race_one_decides_and_the_other_is_refused() {
    let tool = Tool::start().await;
    let second = tool.app.second_server().await;
    for number in 0..8 {
        let device = tool.app.device(&tool.me, &format!("racer {number}")).await;
        let (one, other): (&TestApp, &TestApp) =
            if number % 2 == 0 { (&tool.app, &second) } else { (&second, &tool.app) };
        let (body, record) = (snapshot(), one_record_of(number));
        let (posted, exported) =
            tokio::join!(one.post_buckets(&device.token, &body), other.export(&device.token, &record));
        let statuses = [posted.status, exported.status];
        assert!(statuses == [200, 409] || statuses == [409, 200], "{statuses:?} {} {}", posted.json, exported.json);
        assert_says(&tool.app, &device, if posted.status == 200 { "7+0 of 0" } else { "10+5 of 1" }).await;
    }
    assert_eq!(tool.app.ask(KINDS).await.len(), 8);
}

fn one_record_of(number: usize) -> Value {
    export(&[request(number, "2026-11-20T10:31:00Z", 10, 5)])
}

async fn assert_says(app: &TestApp, device: &TestDevice, says: &str) {
    let sql = format!(
        "select concat(input_tokens, '+', output_tokens, ' of ', request_count) from usage.bucket where device_id = '{}'",
        device.device_id
    );
    assert_eq!(app.ask(&sql).await, [says]);
}

#[tokio::test]
async fn a_device_with_buckets_of_an_older_release_takes_snapshots() {
    let tool = Tool::start().await;
    tool.app.post_buckets(&tool.device.token, &snapshot()).await.expect_ok();
    tool.app.tell("delete from usage.device_kind").await;
    let fresh = tool.app.second_server().await;
    assert_refused(&fresh.export(&tool.device.token, &one_record()).await, "snapshots");
    fresh.post_buckets(&tool.device.token, &snapshot()).await.expect_ok();
    assert_eq!(tool.says().await, ["10:30 7+0 of 0"]);
}

#[tokio::test]
async fn its_owner_sees_whether_a_device_counts() {
    let tool = Tool::start().await;
    let tracker = tool.app.device(&tool.me, "tracker").await;
    tool.app.device(&tool.me, "silent").await;
    tool.app.export(&tool.device.token, &one_record()).await.expect_ok();
    tool.app.post_buckets(&tracker.token, &snapshot()).await.expect_ok();
    let devices = tool.app.get(&tool.me.viewer, "/v1/devices").await.expect_ok()["data"].clone();
    let counts: Vec<&Value> = devices.as_array().unwrap().iter().map(|device| &device["counts"]).collect();
    assert_eq!(counts, [&json!(true), &json!(false), &Value::Null]);
}

#[tokio::test]
async fn no_request_changes_a_kind() {
    let tool = Tool::start().await;
    tool.app.export(&tool.device.token, &one_record()).await.expect_ok();
    for statement in ["update usage.device_kind set counts = false", "delete from usage.device_kind"] {
        let users = [tool.me.user_id];
        let access = halfhour::kernel::database::Access::Users(&users);
        let mode = halfhour::kernel::database::Mode::ReadWrite;
        let mut tx = tool.app.pools.ingest.begin(&crate::support::context(), access, mode).await.unwrap();
        let error = sqlx::raw_sql(statement).execute(&mut tx).await.unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{error}");
    }
}

/// The kind is known with the token, so that only a device's first posts pay for it.
#[tokio::test]
async fn once_a_kind_is_known_no_post_asks_for_it() {
    let tool = Tool::start().await;
    tool.app.post_buckets(&tool.device.token, &snapshot()).await.expect_ok();
    let knows = tool.app.second_server().await;
    tool.app.tell("revoke select on usage.device_kind from halfhour_api").await;
    knows.post_buckets(&tool.device.token, &snapshot()).await.expect_ok();
    let undecided = tool.app.device(&tool.me, "new").await;
    knows.post_buckets(&undecided.token, &snapshot()).await.expect_problem(500, "internal");
}
