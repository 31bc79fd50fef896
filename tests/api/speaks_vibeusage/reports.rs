//! What vibeusage's tracker sends, and how its device gets a token.

use reqwest::Method;
use serde_json::{Value, json};

use crate::captures::{assert_shaped, capture, standing, traces};
use crate::reporting::{World, row as changed, taken};
use crate::support::Reply;

const FAMILIES: [&str; 2] = ["vibescore", "vibeusage"];

impl World {
    async fn call(&self, route: &str, token: &str, body: &Value) -> Reply {
        self.app.request(Method::POST, &format!("/functions/{route}")).bearer(token).json(body).send().await
    }

    async fn report(&self, rows: &Value) -> Reply {
        self.call("vibeusage-ingest", &self.laptop.token, &json!({ "hourly": rows })).await
    }
}

fn row(changes: Value) -> Value {
    changed(&capture("vu-ingest").body()["hourly"][0], changes)
}

#[tokio::test]
async fn captured_reports_become_what_they_must_and_change_nothing_twice() {
    let world = World::new().await;
    for name in ["vu-ingest", "vu-ingest-unknown"] {
        world.captured_report_becomes_what_it_must_and_changes_nothing_twice(name).await;
    }
}

#[tokio::test]
async fn every_captured_call_is_answered_in_the_captured_shape_by_both_names() {
    let world = World::new().await;
    let World { app, ann, laptop } = &world;
    for family in FAMILIES {
        for (name, token) in
            [("vu-sync-ping", &laptop.token), ("vu-device-token-issue", &ann.viewer), ("vu-ingest", &laptop.token)]
        {
            let call = capture(name);
            let route = call.path().replace("/functions/vibescore", family);
            assert_shaped(world.call(&route, token, &call.body()).await.expect_ok(), &call.answer);
        }
        let code = app.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).send().await.json["code"].clone();
        let call = capture("vu-link-code-exchange");
        let mut body = call.body();
        body["link_code"] = code;
        let exchange =
            app.request(Method::POST, &format!("/functions/{family}-link-code-exchange")).json(&body).send().await;
        assert_shaped(exchange.expect_ok(), &call.answer);
        let again =
            app.request(Method::POST, &format!("/functions/{family}-link-code-exchange")).json(&body).send().await;
        assert_eq!(again.json["token"], exchange.json["token"], "the same request gets the same token");
        body["request_id"] = "00000000-0000-4000-8000-00000000000f".into();
        let stolen =
            app.request(Method::POST, &format!("/functions/{family}-link-code-exchange")).json(&body).send().await;
        let problem = stolen.expect_problem(422, "invalid");
        assert_eq!((&problem["error"], &problem["errors"][0]["code"]), (&json!("invalid"), &json!("unusable_code")));
        let token = exchange.json["token"].as_str().unwrap();
        world.call(&format!("{family}-ingest"), token, &capture("vu-ingest").body()).await.expect_ok();
    }
    let mut names = app.ask("select name from account.device").await;
    names.sort();
    assert_eq!(names, ["laptop", "laptop 2", "laptop 3", "laptop 4", "laptop 5"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_taken_is_skipped_and_the_others_are_stored() {
    let world = World::new().await;
    let rows = json!([
        row(json!({})),
        row(json!({"model": "old", "hour_start": "2025-10-01T00:00:00.000Z"})),
        row(json!({"model": "early", "hour_start": "2026-11-29T00:30:00.000Z"})),
        row(json!({"model": "odd", "hour_start": "2026-11-20T10:31:00.000Z"})),
        row(json!({"model": "bad", "input_tokens": "many"})),
        row(json!({"source": "canary"})),
        null,
    ]);
    assert_eq!(world.report(&rows).await.expect_ok(), &taken(1, 6));
    assert_eq!(standing(&world.app, &world.laptop).await.len(), 1);
    let both = json!([
        row(json!({"model": "twice"})),
        row(json!({"model": "twice", "input_tokens": 700, "total_tokens": 800}))
    ]);
    assert_eq!(world.report(&both).await.expect_ok(), &taken(2, 0));
    let last = "codex twice 2026-11-20T11:00:00Z input=100 cache_read=600 output=100 reasoning=40 total=800";
    assert_eq!(standing(&world.app, &world.laptop).await[1], last);
}

#[tokio::test]
async fn rows_of_tools_that_may_not_report_are_kept_apart() {
    let world = World::new().await;
    let rows = json!([
        row(json!({"source": "atool", "model": "m"})),
        row(json!({"source": "ztool", "model": "m"})),
        row(json!({"source": "other", "model": "atool:m"})),
    ]);
    assert_eq!(world.report(&rows).await.expect_ok(), &taken(3, 0));
    let standing = standing(&world.app, &world.laptop).await;
    for (line, model) in standing.iter().zip(["other atool:m ", "other other:atool:m ", "other ztool:m "]) {
        assert!(line.starts_with(model), "{line}");
    }
}

#[tokio::test]
async fn two_products_on_one_device_say_the_same_of_the_same_bucket_and_count_it_once() {
    let world = World::new().await;
    let World { app, laptop, .. } = &world;
    let own = json!({"buckets": [{"hour_start": "2026-11-20T11:00:00Z", "source": "codex", "model": "gpt-5.2-codex",
        "input_tokens": 400, "cache_read_tokens": 600, "output_tokens": 100, "reasoning_tokens": 40}]});
    app.post_buckets(&laptop.token, &own).await.expect_ok();
    let before = traces(app).await;
    let rows = [capture("vu-ingest").body()["hourly"][0].clone(), capture("tt-ingest").body()["hourly"][0].clone()];
    assert_eq!(world.report(&json!([rows[0]])).await.expect_ok(), &taken(1, 0));
    let tokentracker = world.call("tokentracker-ingest", &laptop.token, &json!({"hourly": [rows[1]]})).await;
    assert_eq!(tokentracker.expect_ok(), &taken(1, 0));
    let vibe_cafe = json!({"buckets": [capture("vc-ingest").body()["buckets"][2]]});
    let vibe_cafe = capture("vc-ingest").send(app, &laptop.token, &vibe_cafe).await;
    assert_eq!(vibe_cafe.expect_ok()["ingested"], 1);
    assert_eq!(traces(app).await, before);
}

#[tokio::test]
async fn a_body_of_another_product_is_refused_and_one_row_too_many_is_too_many() {
    let world = World::new().await;
    for foreign in [capture("vc-ingest").body(), json!({}), json!([1])] {
        let reply = world.call("vibeusage-ingest", &world.laptop.token, &foreign).await;
        let problem = reply.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["code"], "unknown_body", "{problem}");
    }
    let many = vec![row(json!({})); 501];
    world.report(&json!(many)).await.expect_problem(413, "batch_too_large");
    assert!(standing(&world.app, &world.laptop).await.is_empty());
}

#[tokio::test]
async fn devices_say_how_they_speak_and_when_they_were_heard() {
    let world = World::new().await;
    let World { app, ann, laptop } = &world;
    let [tablet, phone, silent] =
        [app.device(ann, "tablet").await, app.device(ann, "phone").await, app.device(ann, "silent").await];
    world.report(&json!([row(json!({}))])).await.expect_ok();
    app.post_buckets(&tablet.token, &json!({"buckets": []})).await.expect_ok();
    world.call("vibescore-sync-ping", &phone.token, &json!({})).await.expect_ok();
    app.post_buckets(&silent.token, &json!({"buckets": 7})).await.expect_problem(422, "invalid");
    app.note_reports().await;
    let speaks = async || {
        let listed = app.get(&ann.viewer, "/v1/devices").await.json["data"].clone();
        let devices = listed.as_array().unwrap().clone();
        devices.iter().map(|device| (device["speaks"].clone(), device["heard_at"].clone())).collect::<Vec<_>>()
    };
    let first = speaks().await;
    let heard = json!("2026-11-29T00:00:00Z");
    let expected = [json!("vibeusage"), json!("halfhour"), json!("vibeusage"), Value::Null];
    assert_eq!(first.iter().map(|(speaks, _)| speaks.clone()).collect::<Vec<_>>(), expected);
    assert_eq!((&first[0].1, &first[3].1), (&heard, &Value::Null));
    app.clock.set("2026-11-29T01:00:00Z".parse().unwrap());
    capture("vc-ingest-probe").replay(app, &laptop.token).await.expect_ok();
    app.note_reports().await;
    assert_eq!(speaks().await[0], (json!("vibe-cafe"), json!("2026-11-29T01:00:00Z")), "the last one counts");
}

#[tokio::test]
async fn a_first_upload_of_a_year_ends_complete_within_the_default_limits() {
    let world = World::with_default_limits().await;
    let upload = async |batch: Value| {
        let rows = batch.as_array().unwrap().len();
        assert_eq!(world.report(&batch).await.expect_ok(), &taken(rows, 0));
    };
    assert_eq!(world.uploads_a_year(300, |start| row(json!({ "hour_start": start })), upload).await, 34);
}
