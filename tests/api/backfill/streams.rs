//! Imports as streams of lines: any number of them, each judged by itself, in constant memory.

use reqwest::Method;
use serde_json::{Value, json};

use super::bucket;
use crate::support::TestApp;

const QUERY: &str = "from=2026-11-01&to=2026-11-20";

#[tokio::test]
async fn a_broken_line_is_reported_by_its_number_and_key_and_the_others_are_written() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let line = |model: &str| bucket(&user, &device, "2026-11-20T10:30:00Z", model, 1);
    let mut negative = line("c");
    negative["input_tokens"] = json!(-1);
    let mut stranger = line("d");
    stranger["device_id"] = json!(uuid::Uuid::now_v7());
    let long = format!("{{\"model\":\"{}\"}}", "x".repeat(20_000));
    let lines = [
        line("a").to_string(),
        "{\"secret\": hunter2".to_owned(),
        negative.to_string(),
        String::new(),
        stranger.to_string(),
        line("a").to_string(),
        long,
        "7".to_owned(),
        line("b").to_string(),
        line("e").to_string().replace(r#""input_tokens":1"#, r#""input_tokens":1,"input_tokens":2"#),
        line("f").to_string().replace(r#""input_tokens":1"#, r#""input_tokens":1E400"#),
        line("g").to_string().replace(r#""input_tokens":1"#, &format!(r#""input_tokens":-{}"#, "9".repeat(310))),
    ];
    let reply = app.stream(&user.operator, "key", QUERY, &lines.join("\n")).await;
    assert_eq!((reply.status, &reply.json["state"]), (201, &json!("planned")), "{}", reply.json);
    assert_eq!((&reply.json["progress"]["total"], &reply.json["poisoned"]), (&json!(2), &json!(9)));
    let found = app.job_list(&user.operator, &reply.json, "exceptions").await;
    let mut found: Vec<(i64, &str, bool)> = found
        .iter()
        .map(|exception| {
            let (line, code) = (exception["line"].as_i64().unwrap(), exception["code"].as_str().unwrap());
            (line, code, exception["bucket"].is_object())
        })
        .collect();
    found.sort_unstable();
    let expected = [
        (2, "malformed", false),
        (3, "out_of_range", true),
        (5, "unknown_device", true),
        (6, "duplicate_bucket", true),
        (7, "line_too_long", false),
        (8, "malformed", false),
        (10, "duplicate_field", true),
        (11, "out_of_range", true),
        (12, "out_of_range", true),
    ];
    assert_eq!(found, expected);
    let stored = app.ask("select string_agg(to_jsonb(e)::text, '') from backfill.exception e").await;
    assert!(!stored[0].contains("hunter2") && !stored[0].contains("xxx"), "{stored:?}");

    let done = app.executed(&user.operator, &reply.json).await;
    assert_eq!((&done["state"], &done["failure"]), (&json!("failed"), &json!("incomplete")), "no quiet success");
    assert_eq!(app.ask("select string_agg(model, ',' order by model) from usage.bucket").await, ["a,b"]);
}

#[tokio::test]
async fn a_body_with_numbers_that_no_double_holds_names_them() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let buckets = ["a", "b", "c"].map(|model| bucket(&user, &device, "2026-11-20T10:30:00Z", model, 765_432_109));
    // No id holds so many decimal digits in this order.
    let sound = super::import(&buckets).to_string();
    let body = sound.replacen("765432109", "1e999", 1).replacen("765432109", &"9".repeat(310), 1);
    let request = app.request(Method::POST, "/v1/backfills").bearer(&user.operator).header("idempotency-key", "key");
    let reply = request.header("content-type", "application/json").body(body).send().await;
    let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap();
    let found: Vec<_> = errors.iter().map(|error| (error["pointer"].as_str(), error["code"].as_str())).collect();
    let expected = ["/buckets/0/input_tokens", "/buckets/1/input_tokens"];
    assert_eq!(found, expected.map(|pointer| (Some(pointer), Some("out_of_range"))));
}

#[tokio::test]
async fn a_stream_is_planned_in_short_transactions_and_a_bucket_may_come_once_in_all_of_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let line = |at: usize| bucket(&user, &device, "2026-11-20T10:30:00Z", &format!("m{}", at % 2_500), 1).to_string();
    let lines: Vec<String> = (0..2_600).map(line).collect();
    let reply = app.stream(&user.operator, "key", QUERY, &lines.join("\n")).await;
    assert_eq!((&reply.json["progress"]["total"], &reply.json["poisoned"]), (&json!(2_500), &json!(100)));
    let duplicates = app.ask("select min(line) || ' ' || max(line) || ' ' || min(code) from backfill.exception").await;
    assert_eq!(duplicates, ["2501 2600 duplicate_bucket"]);
    let transactions = app.ask("select (count(distinct xmin::text) > 2)::text from backfill.plan_row").await;
    assert_eq!(transactions, ["true"]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_has_nothing_fails_its_job_and_leaves_no_rows() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.stream(&user.operator, "none", QUERY, "\n\n").await.expect_problem(422, "invalid");
    let line = bucket(&user, &device, "2026-11-20T10:30:00Z", "gpt", 1).to_string();
    let request = app.request(Method::POST, &format!("/v1/backfills?action=import&reason=r&{QUERY}"));
    let request = request.bearer(&user.operator).header("idempotency-key", "cut");
    let request = request.header("content-type", "application/x-ndjson").header("content-encoding", "gzip");
    request.body(line.clone()).send().await.expect_problem(400, "malformed");
    let failures = app.ask("select failure from backfill.job order by job_id").await;
    assert_eq!(failures, ["no_lines", "abandoned"]);

    // One whose server has died: its lease runs out.
    app.stream(&user.operator, "dead", QUERY, &line).await;
    app.tell("update backfill.job set state = 'planning', lease_token = gen_random_uuid(), lease_until = now() - interval '1 s' where state = 'planned'").await;
    app.backfills().purge(&crate::support::context()).await.unwrap();
    let jobs: Vec<Value> = app.get(&user.operator, "/v1/backfills").await.json["data"].as_array().unwrap().clone();
    let states: Vec<&Value> = jobs.iter().map(|job| &job["state"]).collect();
    assert_eq!(states, ["failed"; 3], "{jobs:?}");
    assert_eq!(app.ask("select count(*)::text from backfill.plan_row").await, ["0"]);
}

#[tokio::test]
async fn rows_and_pre_images_are_kept_for_30_days_after_the_job() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt"}]});
    app.post_buckets(&device.token, &body).await.expect_ok();
    let plan = super::import(&[bucket(&user, &device, "2026-11-20T10:30:00Z", "gpt", 1)]);
    let job = app.planned(&user.operator, &plan).await;
    let done = app.executed(&user.operator, &job).await;
    let left = async || {
        app.backfills().purge(&crate::support::context()).await.unwrap();
        let sql = "select (select count(*) from backfill.plan_row) || ' ' || (select count(*) from usage.pre_image)";
        app.ask(sql).await.remove(0)
    };
    app.tell("update backfill.job set finished_at = now() - interval '29 days'").await;
    assert_eq!(left().await, "1 1");
    app.tell("update backfill.job set finished_at = now() - interval '31 days'").await;
    assert_eq!(left().await, "0 0");
    app.tell_job(&user.operator, &done, "rollback").await.expect_problem(409, "conflict");
    assert_eq!(app.job(&user.operator, &job).await["state"], "succeeded");
}
