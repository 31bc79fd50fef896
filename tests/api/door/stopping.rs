//! What is open when the server stops, and does not come to its end: it is answered before its connection is cut.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Raw;
use crate::support::TestApp;

const DRAIN: Duration = Duration::from_millis(500);

#[tokio::test]
async fn whoever_is_still_sending_a_body_is_told_so_and_blamed_for_nothing_else() {
    let app = TestApp::start_with(|settings| settings.door.drain = DRAIN).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let shutdown = CancellationToken::new();
    let (url, stopped) = app.listen(shutdown.clone()).await;
    let mut slow = Vec::new();
    for (target, token, media_type) in [
        ("/v1/buckets", &device.token, "application/json"),
        ("/v1/devices", &user.viewer, "application/json"),
        ("/v1/backfills?action=import&reason=r&from=2026-11-01&to=2026-11-20", &user.operator, "application/x-ndjson"),
    ] {
        let mut raw = Raw::connect_to(&url).await;
        raw.send(&format!(
            "POST {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: k\r\n\
             content-type: {media_type}\r\ncontent-length: 100\r\n\r\n{{"
        ))
        .await;
        slow.push(raw);
    }
    tokio::time::sleep(DRAIN / 2).await;
    let asked = Instant::now();
    shutdown.cancel();
    for raw in &mut slow {
        let answer = raw.answer().await.expect("an answer before the end");
        let line = answer.expect_problem(408, "request_timeout");
        assert_eq!(line["fault"], "client", "{line}");
        assert!(String::from_utf8_lossy(&answer.body).contains("stopping"), "{answer:?}");
        assert!(raw.is_ended().await);
    }
    stopped.await.unwrap();
    assert!((DRAIN..DRAIN * 4).contains(&asked.elapsed()), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn whoever_waits_for_the_database_is_told_to_come_again() {
    let app = TestApp::start_with(|settings| settings.door.drain = DRAIN).await;
    let user = app.user("ann", "UTC").await;
    assert_eq!(app.get(&user.viewer, "/v1/me").await.status, 200);
    let shutdown = CancellationToken::new();
    let (url, stopped) = app.listen(shutdown.clone()).await;
    let mut lock = app.admin.begin().await.unwrap();
    sqlx::raw_sql("lock table account.user in access exclusive mode").execute(&mut *lock).await.unwrap();
    let mut raw = Raw::connect_to(&url).await;
    let viewer = &user.viewer;
    raw.send(&format!("GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {viewer}\r\n\r\n")).await;
    tokio::time::sleep(DRAIN / 2).await;
    shutdown.cancel();
    let answer = raw.answer().await.expect("an answer before the end");
    answer.expect_problem(504, "deadline_exceeded");
    assert!(String::from_utf8_lossy(&answer.body).contains("stopping"), "{answer:?}");
    stopped.await.unwrap();
    lock.rollback().await.unwrap();
}
