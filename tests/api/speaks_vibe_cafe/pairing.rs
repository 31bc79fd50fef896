//! Pairing by a code that the tracker shows.

use chrono::TimeDelta;
use futures_util::future::join_all;
use halfhour::kernel::access::Actor;
use reqwest::Method;
use serde_json::{Value, json};

use super::World;
use crate::captures::{assert_shaped, capture};
use crate::support::{Reply, TestApp, TestUser, context};

async fn begin(app: &TestApp) -> Value {
    let begun = capture("vc-device-code");
    let reply = begun.replay(app, "").await;
    assert_shaped(reply.expect_ok(), &begun.answer);
    assert_eq!(reply.header("cache-control"), "no-store");
    reply.json
}

async fn poll(app: &TestApp, begun: &Value) -> Value {
    let body = json!({"deviceCode": begun["deviceCode"]});
    capture("vc-device-poll-pending").send(app, "", &body).await.expect_ok().clone()
}

async fn approve(app: &TestApp, user: &TestUser, code: &str) -> Reply {
    app.request(Method::POST, "/v1/pairings").bearer(&user.viewer).json(&json!({ "code": code })).send().await
}

#[tokio::test]
async fn a_tracker_is_paired_once_its_owner_has_approved_its_code_and_gets_the_same_key_again() {
    let World { app, ann, .. } = &World::new().await;
    let second = app.second_server().await;
    second.clock.set(app.clock.now());
    let begun = begin(app).await;
    let code = begun["userCode"].as_str().unwrap();
    assert_eq!(poll(app, &begun).await, json!({"error": "authorization_pending"}));
    let page =
        app.request(Method::GET, begun["verificationUriComplete"].as_str().unwrap().strip_prefix(&app.url).unwrap());
    let page = String::from_utf8(page.send().await.body).unwrap();
    assert!(page.contains(code) && page.contains("/v1/pairings") && page.contains("halfhour device approve"), "{page}");
    let approved = approve(&second, ann, &code.to_lowercase().replace('-', " ")).await;
    assert_eq!(approved.status, 201, "{}", approved.json);
    assert_eq!(approve(app, ann, code).await.json, approved.json, "approved again it is the same");
    let paired = poll(app, &begun).await;
    assert_shaped(&paired, &capture("vc-device-poll-approved").answer);
    assert_eq!(poll(&second, &begun).await["apiKey"], paired["apiKey"], "an answer that was lost comes again");
    let key = paired["apiKey"].as_str().unwrap();
    assert!(key.starts_with("vbu_hhd_"), "{key}");
    capture("vc-ingest").replay(app, key).await.expect_ok();
    // The machine's name is in use.
    let names = app.ask("select name from account.device order by device_id").await;
    assert_eq!(names, ["laptop", "laptop 2"]);
}

#[tokio::test]
async fn a_code_is_refused_that_nobody_shows_or_somebody_else_has_approved() {
    let World { app, ann, .. } = &World::new().await;
    let bob = app.user("bob", "UTC").await;
    let begun = begin(app).await;
    let code = begun["userCode"].as_str().unwrap();
    for wrong in ["", "AAAA-AAAA-AAAA", "no"] {
        let problem = approve(app, ann, wrong).await.expect_problem(422, "invalid").clone();
        assert_eq!(problem["errors"][0]["code"], "no_such_code", "{wrong}");
    }
    assert_eq!(approve(app, &bob, code).await.status, 201);
    approve(app, ann, code).await.expect_problem(409, "conflict");
    // It is no link code.
    let exchange = app.request(Method::POST, "/v1/link-codes/exchange");
    let body = json!({"code": code, "request_id": "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2", "device_name": "thief"});
    exchange.json(&body).send().await.expect_problem(422, "invalid");
    poll(app, &begun).await["apiKey"].as_str().unwrap();
    let owner = "select u.name from account.device d join account.user u using (user_id) where d.name = 'laptop' and u.name = 'bob'";
    assert_eq!(app.ask(owner).await, ["bob"]);
}

#[tokio::test]
async fn a_code_that_nobody_approves_in_time_and_one_that_was_never_made_end_the_pairing() {
    let World { app, ann, .. } = &World::new().await;
    let begun = begin(app).await;
    app.clock.set(app.clock.now() + TimeDelta::minutes(16));
    assert_eq!(poll(app, &begun).await, json!({"error": "expired_token"}));
    for made_up in
        [json!({"deviceCode": "hhp_AAAA"}), json!({"deviceCode": 7}), json!({"deviceCode": begun["userCode"]})]
    {
        assert_eq!(poll(app, &made_up).await, json!({"error": "expired_token"}), "{made_up}");
    }
    // Approved, and not asked for within its time.
    let begun = self::begin(app).await;
    assert_eq!(approve(app, ann, begun["userCode"].as_str().unwrap()).await.status, 201);
    app.clock.set(app.clock.now() + TimeDelta::minutes(16));
    assert_eq!(poll(app, &begun).await, json!({"error": "expired_token"}));
}

#[tokio::test]
async fn trackers_of_one_name_that_are_paired_at_once_all_get_a_name_of_their_own() {
    let World { app, ann, .. } = &World::new().await;
    let begun = join_all((0..6).map(|_| begin(app))).await;
    for one in &begun {
        assert_eq!(approve(app, ann, one["userCode"].as_str().unwrap()).await.status, 201);
    }
    let polled = join_all(begun.iter().chain(&begun).map(|one| poll(app, one))).await;
    assert!(polled.iter().all(|polled| polled["apiKey"].is_string()), "{polled:?}");
    let mut names = app.ask("select name from account.device where platform <> 'test'").await;
    names.sort();
    assert_eq!(names, ["laptop 2", "laptop 3", "laptop 4", "laptop 5", "laptop 6", "laptop 7"]);
    assert_eq!(app.ask("select count(*)::text from account.token where kind = 'device'").await, ["7"]);
}

#[tokio::test]
async fn a_command_approves_as_its_owner_does_and_writes_it_down() {
    let World { app, ann, .. } = &World::new().await;
    let begun = begin(app).await;
    let pairings = &app.accounts().pairings;
    let approve = async |code: &str| pairings.approve_code(&context(), Actor::Command, ann.user_id, code).await;
    assert_eq!(approve("AAAA-AAAA-AAAA").await.unwrap_err().code().as_str(), "invalid");
    let code = begun["userCode"].as_str().unwrap();
    // A command goes by the machine's clock, which no test sets.
    app.clock.set(approve(code).await.unwrap() - TimeDelta::minutes(1));
    assert!(poll(app, &begun).await["apiKey"].is_string());
    let acts =
        "select concat_ws(' ', actor_kind, action) from ops.audit where action in ('pairing.approve', 'device.link')";
    let mut acts = app.ask(acts).await;
    acts.sort();
    assert_eq!(acts, ["command pairing.approve", "server device.link"]);
}
