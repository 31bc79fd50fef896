//! The link code that stands: one for however many pages ask, until a device has used it.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use super::NAMES;
use crate::support::{Reply, TestApp, TestUser, instant};

async fn ask(app: &TestApp, user: &TestUser, name: &str) -> Reply {
    app.request(Method::POST, &format!("{name}link-code-init")).bearer(&user.viewer).json(&json!({})).send().await
}

async fn code(app: &TestApp, user: &TestUser) -> String {
    ask(app, user, NAMES[0]).await.expect_ok()["link_code"].as_str().unwrap().to_owned()
}

/// A device uses a code.
async fn exchange(app: &TestApp, code: &str, device: &str) -> Reply {
    let body = json!({"code": code, "request_id": uuid::Uuid::now_v7(), "device_name": device});
    app.request(Method::POST, "/v1/link-codes/exchange").json(&body).send().await
}

const CODES: &str = "select count(*)::text from account.link_code";

#[tokio::test]
async fn pages_get_the_same_code_until_a_device_has_used_it() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let first = ask(&app, &ann, NAMES[0]).await;
    let body = first.expect_ok();
    // It is noon, and a code that stands is good until the end of the next half hour.
    assert_eq!(body["expires_at"], "2026-11-20T13:00:00.000Z");
    assert_eq!((first.header("cache-control"), body.as_object().unwrap().len()), ("no-store", 2));
    for (server, name) in [(&app, NAMES[1]), (&second, NAMES[0]), (&second, NAMES[1])] {
        assert_eq!(ask(server, &ann, name).await.json, *body);
    }
    assert_eq!(app.ask(CODES).await, ["1"]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'link_code.add'").await, ["1"]);
    assert_ne!(code(&app, &bob).await, body["link_code"].as_str().unwrap());

    let used = body["link_code"].as_str().unwrap();
    assert_eq!(exchange(&app, used, "phone").await.status, 201);
    let next = code(&app, &ann).await;
    assert_ne!(next, used);
    assert_eq!(code(&second, &ann).await, next);
    assert_eq!(exchange(&app, used, "tablet").await.status, 422);
    assert_eq!(exchange(&app, &next, "tablet").await.status, 201);
}

#[tokio::test]
async fn a_code_gives_way_to_another_one_long_before_it_expires() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let first = code(&app, &ann).await;
    app.clock.set(instant("2026-11-20T12:29:59Z"));
    assert_eq!(code(&app, &ann).await, first);
    app.clock.set(instant("2026-11-20T12:30:00Z"));
    let second = ask(&app, &ann, NAMES[0]).await.json;
    assert_ne!(second["link_code"], first.as_str());
    assert_eq!(second["expires_at"], "2026-11-20T13:30:00.000Z");
    // Whoever has just read the first one can still use it.
    assert_eq!(exchange(&app, &first, "phone").await.status, 201);
}

#[tokio::test]
async fn pages_that_ask_at_once_make_one_code() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let ann = app.user("ann", "UTC").await;
    let servers = [&app, &second].into_iter().cycle().take(8);
    let codes = join_all(servers.map(|server| code(server, &ann))).await;
    assert!(codes.iter().all(|code| *code == codes[0]), "{}", codes.len());
    assert_eq!(app.ask(CODES).await, ["1"]);
}

#[tokio::test]
async fn no_more_codes_are_given_than_a_user_may_have() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    for _ in 0..20 {
        let made = app.request(Method::POST, "/v1/link-codes").bearer(&ann.viewer).send().await;
        assert_eq!(made.status, 201);
    }
    let refused = ask(&app, &ann, NAMES[0]).await;
    refused.expect_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(app.ask(CODES).await, ["20"]);
}

#[tokio::test]
async fn what_is_sent_with_the_question_is_refused_by_name() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let path = format!("{}link-code-init", NAMES[0]);
    let request = || app.request(Method::POST, &path).bearer(&ann.viewer);
    let errors =
        request().json(&json!({"device_name": "x"})).send().await.expect_problem(422, "invalid")["errors"].clone();
    assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!("/device_name"), &json!("unknown_field")));
    request().json(&json!([])).send().await.expect_problem(400, "malformed");
    request().header("idempotency-key", "k").json(&json!({})).send().await.expect_problem(400, "malformed");
    request().body("{}").send().await.expect_problem(415, "unsupported_media_type");
    app.request(Method::POST, &path).json(&json!({})).send().await.expect_problem(401, "unauthorized");
    app.request(Method::GET, &path).bearer(&ann.viewer).send().await.expect_problem(405, "method_not_allowed");
    assert_eq!(app.ask(CODES).await, ["0"]);
}
