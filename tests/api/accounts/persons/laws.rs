//! The law: nothing of a person is left in any table, and nothing of anybody else has changed.

use reqwest::Method;
use serde_json::{Value, json};

use super::{NAME, one_bucket};
use crate::backfill::{bucket, import};
use crate::support::rollups::Usage;
use crate::support::{Reply, TestApp, TestDevice, TestUser, instant};

/// A device's name that stands nowhere else.
const DEVICE: &str = "Dreyers Rechner";

/// A person of whom every table that can has something. Jobs are `operator`'s.
async fn person(app: &TestApp, operator: &TestUser) -> (TestUser, TestDevice) {
    let ann = app.user(NAME, "Europe/Berlin").await;
    let (device, old) = (app.device(&ann, DEVICE).await, app.device(&ann, "Dreyers altes Handy").await);
    let revoke = format!("/v1/devices/{}/revoke", old.device_id);
    app.request(Method::POST, &revoke).bearer(&ann.viewer).send().await.expect_ok();
    app.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).send().await;

    // Usage with an answer that is kept, a day that retention freezes, and a snapshot that is kept out.
    let keyed = app.request(Method::POST, "/v1/buckets").bearer(&device.token).header("idempotency-key", "first");
    keyed.json(&one_bucket("gpt", "2026-11-19T10:20:00Z")).send().await.expect_ok();
    for (tokens, observed_at) in [(9, "2026-10-20T10:58:00Z"), (5, "2026-11-20T11:58:00Z")] {
        let usage = json!({"hour_start": "2026-10-20T10:30:00Z", "source": "amp", "model": "m", "input_tokens": tokens,
            "observed_at": observed_at});
        app.post_buckets(&device.token, &json!({ "buckets": [usage] })).await.expect_ok();
    }
    app.post_usage(&device, &[Usage::input("2026-09-01T10:00:00Z", 3)]).await;
    // Records of a device that counts.
    let counting = app.device(&ann, "Dreyers Zaehler").await;
    let export = app.request(Method::POST, "/v1/logs").bearer(&counting.token).json(&crate::speaks_otlp::exported(2));
    export.send().await.expect_ok();
    app.drain().await;
    app.retention(40).run_pass().await.unwrap();
    app.erase(&ann, "source=droid").await.expect_ok();

    // A correction that hides a version, one that is only planned, and lines that could not be taken.
    let hour = "2026-11-19T10:00:00Z";
    let job = app.planned(&operator.operator, &import(&[bucket(&ann, &device, hour, "gpt", 9)])).await;
    assert_eq!(app.executed(&operator.operator, &job).await["state"], "succeeded");
    app.planned(&operator.operator, &import(&[bucket(&ann, &device, hour, "gpt", 11)])).await;
    let line = bucket(&ann, &device, "2026-11-18T10:00:00Z", "gpt", 1);
    let lines = format!("{line}\n{line}\n");
    let streamed = app.stream(&operator.operator, "lines", "from=2026-11-01&to=2026-11-19", &lines).await;
    assert_eq!(streamed.json["poisoned"], 1, "{streamed:?}");
    // A verification that lists a day, a rollup that differs, and an event that nobody can fold.
    app.tell(&format!("update rollup.daily set output_tokens = 77 where user_id = '{}'", ann.user_id)).await;
    let order = json!({"action": "verify", "reason": "look", "from": "2026-11-01", "to": "2026-11-20"});
    let job = app.planned(&operator.operator, &order).await;
    assert_eq!(app.executed(&operator.operator, &job).await["drift"]["first"][0]["user_id"], ann.user_id.to_string());
    app.tell(&format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, parked_at)
         values ('{}', 'bucket_changed', '2020-01-01', '2020-01-01', '2020-01-01', 'live', gen_random_uuid(), now())",
        ann.user_id
    ))
    .await;
    (ann, device)
}

impl TestApp {
    /// POST /v1/link-codes/exchange.
    async fn exchange(&self, body: &Value) -> Reply {
        self.request(Method::POST, "/v1/link-codes/exchange").json(body).send().await
    }
}

/// What an answer counts, by name.
fn counts(reply: &Reply) -> Vec<(&str, i64)> {
    let names = ["devices", "tokens", "link_codes", "buckets", "hidden_versions", "stored_answers", "events"];
    let names = names.into_iter().chain(["backfill_rows", "rollup_rows"]);
    names.map(|name| (name, reply.json[name].as_i64().unwrap())).collect()
}

#[tokio::test]
async fn nothing_is_left_of_a_person_in_any_table_and_others_keep_everything() {
    let app = TestApp::start().await;
    let (bob, his) = app.somebody("bob", 500).await;
    let (ann, device) = person(&app, &bob).await;
    let source =
        app.request(Method::POST, "/v1/sources").bearer(&ann.operator).json(&json!({"name": "tharau"})).send().await;
    assert_eq!(source.status, 201, "{source:?}");
    let code = app.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).send().await.json["code"].clone();
    let exchange = json!({"code": code, "request_id": uuid::Uuid::now_v7(), "device_name": "Dreyers Uhr"});
    assert_eq!(app.exchange(&exchange).await.status, 201);
    let had = app.rows_of(ann.user_id).await;
    let tables: Vec<&str> = had.keys().map(String::as_str).collect();
    let possible = app.ask(super::OF_USERS).await;
    let none: Vec<&String> = possible.iter().filter(|table| !tables.contains(&table.as_str())).collect();
    assert_eq!(none, ["account.erased_user"], "the law says nothing of a table that had nothing");
    assert_eq!(app.columns_saying(NAME).await, ["account.user name"]);
    assert_eq!(app.columns_saying("Dreyers").await, ["account.device name"]);

    let before = app.everything(Some(ann.user_id)).await;
    let whole = app.everything(None).await;
    let preview = app.erase_me(&ann, "dry_run=true").await;
    preview.expect_ok();
    assert_eq!(app.everything(None).await, whole, "a dry run changes nothing");
    assert_eq!((&preview.json["dry_run"], &preview.json["erased_at"]), (&json!(true), &Value::Null));
    assert!(counts(&preview).iter().all(|(_, count)| *count > 0), "{:?}", preview.json);

    let erased = app.erase_person(&ann).await;
    erased.expect_ok();
    assert_eq!(erased.header("cache-control"), "no-store");
    assert_eq!((&erased.json["finished"], &erased.json["user_id"]), (&json!(true), &json!(ann.user_id)));
    assert!(erased.json["erased_at"].is_string(), "{:?}", erased.json);
    for ((name, would), (_, did)) in counts(&preview).into_iter().zip(counts(&erased)) {
        // The state of the rollup, and the list of a verification, are rows of no table that is counted.
        let besides = i64::from(["backfill_rows", "rollup_rows"].contains(&name));
        assert_eq!(did, would + besides, "{name}");
    }
    app.assert_gone(&ann, &[NAME, "Dreyers"]).await;
    // All that differs for the others: what was learnt of the erasure, and the jobs' own numbers.
    let mut after = app.everything(Some(ann.user_id)).await;
    let mut before = before;
    for table in ["ops.audit", "account.token", "backfill.job"] {
        after.remove(table);
        before.remove(table);
    }
    assert_eq!(after, before);
    let acts = "select format('%s %s', actor_kind, action) from ops.audit where subject = '$user' and action like 'user.erase%'
                order by acted_at";
    let acts = app.ask(&acts.replace("$user", &ann.user_id.to_string())).await;
    assert_eq!(acts, ["viewer user.erase", "server user.erase_finished"]);

    app.exchange(&exchange).await.expect_problem(422, "invalid");
    assert_operators_see_what_they_saw(&app, &ann, &bob).await;
    assert_nobody_answers_to(&app, &ann, &device).await;
    assert_eq!(app.get(&bob.viewer, "/v1/rollups").await.expect_ok()["totals"]["input_tokens"], 500);
    let post = app.post_buckets(&his.token, &one_bucket("new", "2026-11-19T10:20:00Z")).await;
    assert_eq!(post.expect_ok()["inserted"], 1);
}

/// What was allowed by somebody who is gone stays allowed, and is still that id's.
async fn assert_operators_see_what_they_saw(app: &TestApp, ann: &TestUser, bob: &TestUser) {
    let sources = app.get(&bob.viewer, "/v1/sources").await.expect_ok()["sources"].clone();
    assert!(sources.as_array().unwrap().iter().any(|source| source["name"] == "tharau"), "{sources}");
    let allowed = "select (allowed_by_user_id = '$user')::text from usage.source where name = 'tharau'";
    assert_eq!(app.ask(&allowed.replace("$user", &ann.user_id.to_string())).await, ["true"]);
}

/// The tokens are nobody's, on a server that has never seen them; and somebody else may have the name.
async fn assert_nobody_answers_to(app: &TestApp, ann: &TestUser, device: &TestDevice) {
    let other = app.second_server().await;
    for (token, path) in [(&ann.viewer, "/v1/me"), (&ann.operator, "/v1/users"), (&device.token, "/v1/sources")] {
        other.get(token, path).await.expect_problem(401, "unauthorized");
    }
    let post = other.post_buckets(&device.token, &one_bucket("gpt", "2026-11-20T11:00:00Z")).await;
    post.expect_problem(401, "unauthorized");
    let again = app.user(NAME, "UTC").await;
    assert_eq!(app.get(&again.viewer, "/v1/rollups").await.expect_ok()["totals"]["total_tokens"], 0);
    assert_eq!(app.get(&again.viewer, "/v1/devices").await.expect_ok()["data"], json!([]));
}

#[tokio::test]
async fn a_server_that_still_remembers_the_tokens_takes_nothing_and_shows_nothing() {
    let app = TestApp::start().await;
    let (_bob, _) = app.somebody("bob", 5).await;
    let (ann, device) = app.somebody(NAME, 7).await;
    // Every token is in memory by now.
    for (token, path) in [(&ann.viewer, "/v1/me"), (&device.token, "/v1/sources")] {
        app.get(token, path).await.expect_ok();
    }
    let erased = app.erase_person(&ann).await.expect_ok().clone();
    // A retry under a key, a new snapshot, one without a stamp, and one that is late and one that is far ahead of its time.
    app.clock.set(instant("2026-11-20T12:00:05Z"));
    for observed_at in ["2026-11-19T10:20:00Z", "2026-11-20T12:00:04Z", "2026-11-20T12:05:00Z"] {
        let body = one_bucket("gpt", observed_at);
        let keyed =
            app.request(Method::POST, "/v1/buckets").bearer(&device.token).header("idempotency-key", observed_at);
        for reply in [app.post_buckets(&device.token, &body).await, keyed.json(&body).send().await] {
            assert_eq!(reply.expect_ok()["verdicts"], json!(["erased"]));
        }
    }
    let unstamped = json!({"buckets": [{"hour_start": "2026-11-20T11:00:00Z", "source": "codex", "model": "m", "input_tokens": 1}]});
    assert_eq!(app.post_buckets(&device.token, &unstamped).await.expect_ok()["verdicts"], json!(["erased"]));
    for (method, path, body) in [
        (Method::GET, "/v1/me", None),
        (Method::PATCH, "/v1/me", Some(json!({"time_zone": "Asia/Kathmandu"}))),
        (Method::GET, "/v1/rollups", None),
        (Method::GET, "/v1/rollups/summary", None),
        (Method::GET, "/v1/rollups/heatmap", None),
        (Method::GET, "/v1/buckets", None),
        (Method::POST, "/v1/devices", Some(json!({"name": "another"}))),
        (Method::POST, "/v1/link-codes", None),
        (Method::DELETE, "/v1/me/usage?everything=true", None),
        (Method::DELETE, "/v1/me/usage?everything=true&dry_run=true", None),
        (Method::DELETE, "/v1/me?dry_run=true", None),
    ] {
        let request = app.request(method, path).bearer(&ann.viewer);
        let request = if let Some(body) = body { request.json(&body) } else { request };
        request.send().await.expect_problem(401, "unauthorized");
    }
    assert_eq!(app.get(&ann.viewer, "/v1/devices").await.expect_ok()["data"], json!([]));
    // Whoever lost the answer asks again, and is told the same.
    let again = app.erase_person(&ann).await.expect_ok().clone();
    assert_eq!((&again["erased_at"], &again["finished"]), (&erased["erased_at"], &json!(true)));
    app.assert_gone(&ann, &[NAME]).await;
}
