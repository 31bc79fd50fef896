//! What a page of an allowed origin may read where no route came to answer: every refusal that is made around the routes.

use std::time::Duration;

use halfhour::config::Limits;

use super::{Answer, Raw};
use crate::support::TestApp;

const ORIGIN: &str = "https://app.example";

/// A page that may read this answer may know what to do, too: whose answer it is, and when to come again.
#[track_caller]
fn assert_readable(answer: &Answer, status: u16, code: &str) {
    answer.expect_problem(status, code);
    let head = &answer.head;
    assert!(head.contains(&format!("access-control-allow-origin: {ORIGIN}\r\n")), "{code}: {head}");
    let exposed =
        head.lines().find_map(|line| line.strip_prefix("access-control-expose-headers: ")).unwrap_or_default();
    for name in ["x-request-id", "retry-after", "ratelimit"] {
        assert!(exposed.split(',').any(|exposed| exposed == name), "{name}: {head}");
    }
    assert!(head.lines().any(|line| line.starts_with("vary: ") && line.contains("origin")), "{head}");
}

async fn for_pages(change: impl FnOnce(&mut halfhour::app::Settings)) -> TestApp {
    TestApp::start_with(|settings| {
        settings.cors_origins = vec![ORIGIN.parse().unwrap()];
        change(settings);
    })
    .await
}

async fn asked(app: &TestApp, head: &str) -> Answer {
    let mut raw = Raw::connect(app).await;
    raw.send(head).await;
    raw.answer().await.unwrap()
}

#[tokio::test]
async fn a_stranger_who_is_refused_too_often_can_read_that() {
    let app = for_pages(|settings| settings.limits = Limits { anonymous: 2, ..Limits::OFF }).await;
    let head = format!("GET /v1/rollups HTTP/1.1\r\nhost: x\r\norigin: {ORIGIN}\r\n\r\n");
    for (status, code) in [(401, "unauthorized"), (401, "unauthorized"), (429, "rate_limited")] {
        assert_readable(&asked(&app, &head).await, status, code);
    }
    let stranger = head.replace(ORIGIN, "https://other.example");
    let answer = asked(&app, &stranger).await;
    answer.expect_problem(429, "rate_limited");
    assert!(!answer.head.contains("access-control-allow-origin"), "{}", answer.head);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_readably() {
    let app = for_pages(|settings| settings.request_deadline = Duration::from_secs(1)).await;
    let user = app.user("ann", "UTC").await;
    let viewer = &user.viewer;
    let head = format!(
        "PATCH /v1/me HTTP/1.1\r\nhost: x\r\norigin: {ORIGIN}\r\nauthorization: Bearer {viewer}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    assert_readable(&asked(&app, &head).await, 408, "request_timeout");
}

#[tokio::test]
async fn what_an_old_proxy_cannot_say_is_refused_readably() {
    let app = for_pages(|_| ()).await;
    let head =
        format!("POST /v1/link-codes/exchange HTTP/1.0\r\norigin: {ORIGIN}\r\ncontent-type: application/json\r\n\r\n");
    assert_readable(&asked(&app, &head).await, 400, "malformed");
}

#[tokio::test]
async fn where_there_is_no_room_a_page_can_read_that_and_its_question_before_is_refused() {
    let app = for_pages(|settings| (settings.door.connections, settings.door.reserve) = (4, 2)).await;
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(&app).await;
        raw.send("GET /health/live HTTP/1.1\r\nhost: ").await;
        slow.push(raw);
    }
    let head = format!("GET /v1/rollups HTTP/1.1\r\nhost: x\r\norigin: {ORIGIN}\r\n\r\n");
    let answer = asked(&app, &head).await;
    assert_readable(&answer, 503, "overloaded");
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    let question = head.replace("GET", "OPTIONS").replace("\r\n\r\n", "\r\naccess-control-request-method: GET\r\n\r\n");
    let answer = asked(&app, &question).await;
    answer.expect_problem(503, "overloaded");
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
}
