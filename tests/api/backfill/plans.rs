//! What a plan takes: everything that is wrong with a body is said at once, and nothing is stored.

use reqwest::Method;
use serde_json::json;

use super::{bucket, import};
use crate::support::TestApp;

const HOUR: &str = "2026-11-20T10:30:00Z";

#[tokio::test]
async fn a_body_with_anything_wrong_in_it_makes_no_job() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let stranger = app.user("bob", "UTC").await;
    let sound = bucket(&user, &device, HOUR, "gpt", 1);
    let mut open = sound.clone();
    open["hour_start"] = json!("2026-11-20T12:00:00Z");
    let body = import(&[sound.clone(), sound.clone(), bucket(&stranger, &device, HOUR, "gpt", 1)]);
    let reply = app.post_backfill(&user.operator, "a", &body).await;
    let errors = reply.expect_problem(422, "invalid")["errors"].clone();
    let found: Vec<_> = errors.as_array().unwrap().iter().map(|error| (&error["pointer"], &error["code"])).collect();
    assert_eq!(
        found,
        [
            (&json!("/buckets/1"), &json!("duplicate_bucket")),
            (&json!("/buckets/2/device_id"), &json!("unknown_device"))
        ]
    );
    let reply = app.post_backfill(&user.operator, "b", &import(&[open])).await;
    assert_eq!(reply.expect_problem(422, "invalid")["errors"][0]["code"], "not_closed");
    let mut body = import(&[sound]);
    body["user_ids"] = json!([stranger.user_id]);
    let reply = app.post_backfill(&user.operator, "c", &body).await;
    assert_eq!(reply.expect_problem(422, "invalid")["errors"][0]["code"], "outside_users");
    body["user_ids"] = json!([user.user_id, uuid::Uuid::now_v7()]);
    let reply = app.post_backfill(&user.operator, "d", &body).await;
    assert_eq!(reply.expect_problem(422, "invalid")["errors"][0]["code"], "unknown_user");
    let left = "select (select count(*) from backfill.job) + (select count(*) from backfill.plan_row)
                    + (select count(*) from ops.audit where action like 'backfill%') || ''";
    assert_eq!(app.ask(left).await, ["0"]);
}

#[tokio::test]
async fn a_body_or_a_bucket_that_says_one_thing_twice_makes_no_job() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let sound = import(&[bucket(&user, &device, HOUR, "gpt", 1)]).to_string();
    for (once, twice, pointer) in [
        (r#""input_tokens":1"#, r#""input_tokens":1,"input_tokens":2"#, "/buckets/0/input_tokens"),
        (r#""action":"import""#, r#""action":"verify","action":"import""#, "/action"),
    ] {
        let body = sound.replace(once, twice);
        assert_ne!(body, sound);
        let request = app.request(Method::POST, "/v1/backfills").bearer(&user.operator);
        let request = request.header("idempotency-key", "key").header("content-type", "application/json");
        let reply = request.body(body).send().await;
        let errors = &reply.expect_problem(422, "invalid")["errors"];
        let duplicate = errors.as_array().unwrap().iter().find(|error| error["pointer"] == pointer);
        assert_eq!(duplicate.map(|error| &error["code"]), Some(&json!("duplicate_field")), "{errors}");
    }
    assert_eq!(app.ask("select count(*)::text from backfill.job").await, ["0"]);
}

#[tokio::test]
async fn a_half_hour_past_retention_is_not_imported() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.tell(&format!("insert into usage.horizon values ('{}', '2026-11-10T00:00:00Z')", user.user_id)).await;
    let refused = import(&[bucket(&user, &device, "2026-11-09T23:30:00Z", "gpt", 1)]);
    let reply = app.post_backfill(&user.operator, "a", &refused).await;
    assert_eq!(reply.expect_problem(422, "invalid")["errors"][0]["code"], "before_retention_horizon");
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, "2026-11-10T00:00:00Z", "gpt", 1)])).await;
    // The horizon moves between the plan and the execution.
    app.tell("update usage.horizon set first_hour = '2026-11-11T00:00:00Z'").await;
    let done = app.executed(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["skipped"]), (&json!("failed"), &json!(1)), "{done}");
    let skipped = app.job_list(&user.operator, &job, "exceptions").await;
    assert_eq!(skipped[0]["code"], "before_retention_horizon");
}

#[tokio::test]
async fn what_a_plan_says_of_each_row_adds_up_to_its_diff() {
    let app = TestApp::start().await;
    let user = app.user("ann", "Asia/Kathmandu").await;
    let device = app.device(&user, "laptop").await;
    let stands = [("a", 5), ("b", 5), ("c", 5), ("d", 5)];
    let posted: Vec<_> = stands
        .iter()
        .map(|(model, input)| json!({"hour_start": HOUR, "source": "codex", "model": model, "input_tokens": input}))
        .collect();
    app.post_buckets(&device.token, &json!({"buckets": posted})).await.expect_ok();
    let mut other_class = bucket(&user, &device, HOUR, "c", 0);
    other_class["output_tokens"] = json!(5);
    let body = import(&[
        bucket(&user, &device, HOUR, "a", 6),
        bucket(&user, &device, HOUR, "b", 4),
        other_class,
        bucket(&user, &device, HOUR, "d", 5),
        bucket(&user, &device, HOUR, "e", 5),
        // Another local day of the user, in Kathmandu.
        bucket(&user, &device, "2026-11-19T18:30:00Z", "e", 5),
        bucket(&user, &device, "2026-11-19T18:00:00Z", "e", 5),
    ]);
    let job = app.planned(&user.operator, &body).await;
    let expected = json!({"inserted": 3, "raised": 1, "lowered": 1, "changed": 1, "unchanged": 1, "rollup_rows": 5,
        "tokens_before": 20, "tokens_after": 35});
    assert_eq!(job["diff"], expected);
    let again = app.planned(&user.operator, &body).await;
    assert_eq!(job["plan_hash"], again["plan_hash"], "the same plan of the same buckets");
    app.executed(&user.operator, &job).await;
    let after = app.planned(&user.operator, &body).await;
    assert_eq!(after["diff"]["unchanged"], 7, "{after}");
    assert_ne!(job["plan_hash"], after["plan_hash"]);
}
