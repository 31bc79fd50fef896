//! A correction of real usage, from the plan to the way back: the plan's diff is what the execution does, row by row,
//! dashboards show it, and the rollback restores everything but what trackers have changed since.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::azure_llm_2023::{self as data, Posted};
use crate::support::{TestApp, TestDevice, TestUser, instant};

/// The trace, imported by an operator for devices that have never posted.
async fn imported() -> (TestApp, TestUser, BTreeMap<String, TestDevice>) {
    let app = TestApp::start_with(|settings| settings.ingest_max_age_days = None).await;
    let user = app.user("azure", "Asia/Kathmandu").await;
    let mut devices = BTreeMap::new();
    for name in data::devices() {
        devices.insert(name.clone(), app.device(&user, &name).await);
    }
    let lines: Vec<String> =
        data::buckets().iter().map(|posted| line(&user, &devices, posted, 1).to_string()).collect();
    let reply = app.stream(&user.operator, "azure", "from=2023-11-16&to=2023-11-17", &lines.join("\n")).await;
    assert_eq!(reply.status, 201, "{}", reply.json);
    assert_eq!(reply.json["diff"]["inserted"], 240, "{}", reply.json);
    let job = app.executed(&user.operator, &reply.json).await;
    assert_eq!((&job["state"], &job["failure"]), (&json!("succeeded"), &Value::Null), "{job}");
    (app, user, devices)
}

/// A bucket of the trace as an operator imports it, with its input times `factor`.
fn line(user: &TestUser, devices: &BTreeMap<String, TestDevice>, posted: &Posted, factor: u64) -> Value {
    let mut bucket = posted.bucket.clone();
    bucket["user_id"] = json!(user.user_id);
    bucket["device_id"] = json!(devices[&posted.device].device_id);
    bucket["input_tokens"] = json!(posted.bucket["input_tokens"].as_u64().unwrap() * factor);
    bucket
}

/// A correction that raises every second bucket of the first sixty and empties the others.
async fn correction(app: &TestApp, user: &TestUser, devices: &BTreeMap<String, TestDevice>) -> Value {
    let buckets: Vec<Value> = data::buckets()
        .iter()
        .take(60)
        .enumerate()
        .map(|(at, posted)| line(user, devices, posted, if at % 2 == 0 { 3 } else { 0 }))
        .collect();
    let body = json!({"action": "import", "reason": "counted twice, ticket 7", "from": "2023-11-16",
        "to": "2023-11-16", "buckets": buckets});
    app.planned(&user.operator, &body).await
}

#[tokio::test]
async fn real_usage_that_an_operator_imports_adds_up_exactly() {
    let (app, user, _devices) = imported().await;
    data::assert_exact(app.get(&user.viewer, data::QUESTION).await.expect_ok());
}

#[tokio::test]
async fn a_plan_says_row_by_row_what_its_execution_does_and_a_rollback_restores_everything() {
    let (app, user, devices) = imported().await;
    let (buckets, rollups) = (app.buckets_checksum().await, app.rollups_checksum().await);
    let job = correction(&app, &user, &devices).await;
    let diff = &job["diff"];
    assert_eq!((&diff["raised"], &diff["lowered"], &diff["inserted"]), (&json!(30), &json!(30), &json!(0)), "{job}");
    assert_eq!(app.buckets_checksum().await, buckets, "a plan changes nothing");

    let rows = app.job_list(&user.operator, &job, "rows").await;
    assert_eq!(rows.len(), 60);
    let done = app.executed(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["progress"]["percent"]), (&json!("succeeded"), &json!(100.0)), "{done}");
    for row in &rows {
        let text = |name: &str| row[name].as_str().unwrap();
        let stands = app
            .ask(&format!(
                "select format('%s %s %s', p.total, b.total_tokens, b.backfill_id)
                 from usage.bucket b, lateral (
                     select input_tokens + output_tokens as total from usage.pre_image p
                     where (p.user_id, p.hour_start, p.device_id, p.source, p.model)
                         = (b.user_id, b.hour_start, b.device_id, b.source, b.model) and p.backfill_id = b.backfill_id
                 ) p
                 where b.device_id = '{}' and b.hour_start = '{}' and b.source = '{}' and b.model = '{}'",
                text("device_id"),
                text("hour_start"),
                text("source"),
                text("model")
            ))
            .await;
        let (before, after) = (&row["before"]["total_tokens"], &row["after"]["total_tokens"]);
        assert_eq!(stands, [format!("{before} {after} {}", job["id"].as_str().unwrap())], "{row}");
        let effect = if after.as_u64() > before.as_u64() { "raised" } else { "lowered" };
        assert_eq!(row["effect"], effect, "{row}");
    }
    let shown = app.get(&user.viewer, data::QUESTION).await.expect_ok().clone();
    let changed = diff["tokens_after"].as_i64().unwrap() - diff["tokens_before"].as_i64().unwrap();
    let before = app.ask("select sum(total_tokens)::text from usage.bucket").await;
    assert_eq!(shown["totals"]["total_tokens"].to_string(), before[0], "dashboards show it: {changed}");
    assert_ne!(app.rollups_checksum().await, rollups);

    let back = app.rolled_back(&user.operator, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(app.buckets_checksum().await, buckets);
    assert_eq!(app.rollups_checksum().await, rollups);
    data::assert_exact(app.get(&user.viewer, data::QUESTION).await.expect_ok());
}

#[tokio::test]
async fn a_rollback_keeps_and_lists_what_a_tracker_changed_and_restores_what_a_correction_hid() {
    let (app, user, devices) = imported().await;
    let first = app.get(&user.operator, "/v1/backfills").await.expect_ok()["data"][0].clone();
    app.clock.set(instant("2026-11-20T12:00:10Z"));
    let job = correction(&app, &user, &devices).await;
    let done = app.executed(&user.operator, &job).await;
    let posted = data::buckets();
    let post = async |at: usize, input: u64, observed_at: Option<&str>| -> Value {
        let mut bucket = posted[at].bucket.clone();
        bucket["input_tokens"] = json!(input);
        if let Some(observed_at) = observed_at {
            bucket["observed_at"] = json!(observed_at);
            bucket["retracts"] = json!(observed_at.starts_with("2026"));
        }
        let token = &devices[&posted[at].device].token;
        app.post_buckets(token, &json!({"buckets": [bucket]})).await.expect_ok()["verdicts"][0].clone()
    };
    // Newer than the correction: it wins. Not newer, or of an unknown time: it waits in the pre-image.
    assert_eq!(post(0, 11, Some("2026-11-20T12:01:00Z")).await, "updated");
    assert_eq!(post(1, 22, Some("2026-11-20T12:00:05Z")).await, "stale");
    assert_eq!(post(2, 33, None).await, "corrected");
    // Older than what the correction replaced: that stands in the pre-image.
    assert_eq!(post(3, 44, Some("2023-11-16T20:00:00Z")).await, "stale");

    let back = app.rolled_back(&user.operator, &done).await;
    assert_eq!(back["state"], "rolled_back", "{back}");
    let kept = app.job_list(&user.operator, &job, "exceptions").await;
    assert_eq!((kept.len(), &kept[0]["kind"]), (1, &json!("kept")), "{kept:?}");
    assert_eq!(back["kept_on_rollback"], json!([kept[0]["bucket"]]), "{back}");
    let stands = async |at: usize| -> Vec<String> {
        let (bucket, device) = (&posted[at].bucket, devices[&posted[at].device].device_id);
        let (hour, model) = (bucket["hour_start"].as_str().unwrap(), bucket["model"].as_str().unwrap());
        app.ask(&format!(
            "select input_tokens || ' ' || (backfill_id is null) || ' ' || stamped from usage.bucket
             where device_id = '{device}' and hour_start = '{hour}' and model = '{model}'"
        ))
        .await
    };
    assert_eq!(stands(0).await, ["11 true true"]);
    assert_eq!(stands(1).await, ["22 true true"]);
    for at in [2, 3] {
        let imported = posted[at].bucket["input_tokens"].as_u64().unwrap();
        assert_eq!(stands(at).await, [format!("{imported} false true")], "the first import stands again");
    }
    assert_eq!(app.rollups_checksum().await, refolded(&app).await);
    // What lost against the first import as well stands when that is taken back, too.
    let back = app.rolled_back(&user.operator, &first).await;
    assert_eq!((&back["state"], stands(2).await), (&json!("rolled_back"), vec!["33 true false".to_owned()]), "{back}");
    assert_eq!(stands(3).await, ["44 true true"]);
    assert_eq!(stands(4).await, Vec::<String>::new(), "what nobody has posted is gone");
}

/// The rollups after they were folded from nothing.
async fn refolded(app: &TestApp) -> String {
    app.tell("delete from rollup.daily").await;
    app.tell(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select distinct user_id, 'bucket_changed', (hour_start at time zone 'UTC')::date, hour_start, hour_start,
             'live', gen_random_uuid() from usage.bucket",
    )
    .await;
    app.drain().await;
    app.rollups_checksum().await
}

#[tokio::test]
async fn jobs_that_overlap_are_taken_back_newest_first_and_late_snapshots_find_their_way_to_the_bottom() {
    let (app, user, devices) = imported().await;
    let tracked = &devices[&data::buckets()[5].device];
    let hour = "2026-11-20T09:00:00Z";
    let post = async |input: u64, observed_at: &str| {
        let body = json!({"buckets": [{"hour_start": hour, "source": "codex", "model": "gpt", "input_tokens": input,
            "observed_at": observed_at}]});
        app.post_buckets(&tracked.token, &body).await.expect_ok()["verdicts"][0].clone()
    };
    post(100, "2026-11-20T09:10:00Z").await;
    app.drain().await;
    let correct = async |input: u64| {
        let job =
            app.planned(&user.operator, &super::import(&[super::bucket(&user, tracked, hour, "gpt", input)])).await;
        app.executed(&user.operator, &job).await
    };
    let first = correct(200).await;
    let second = correct(300).await;
    let third = correct(400).await;
    let refused = app.tell_job(&user.operator, &first, "rollback").await;
    let problem = refused.expect_problem(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains(second["id"].as_str().unwrap()), "{problem}");
    // It loses against all three corrections, and wins against what they hide.
    assert_eq!(post(120, "2026-11-20T09:25:00Z").await, "stale");
    assert_eq!(post(110, "2026-11-20T09:20:00Z").await, "stale");

    let says =
        async || app.ask(&format!("select input_tokens::text from usage.bucket where hour_start = '{hour}'")).await;
    for (job, expected) in [(&third, "300"), (&second, "200"), (&first, "120")] {
        let back = app.rolled_back(&user.operator, job).await;
        assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
        assert_eq!(says().await, [expected]);
    }
    // Once more: there is nothing to do, and nothing is listed.
    let again = app.job(&user.operator, &first).await;
    let again = app.rolled_back(&user.operator, &again).await;
    assert_eq!((&again["state"], &again["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{again}");
    assert_eq!(says().await, ["120"]);
}
