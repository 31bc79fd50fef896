//! Clients that take their time: with a head, with a body, with reading, and between two requests.

use std::time::{Duration, Instant};

use super::Raw;
use crate::support::TestApp;

const GET: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_head_that_trickles_is_refused_in_time_and_the_next_one_has_its_own_time() {
    let app = TestApp::start_with(|settings| settings.door.head = SHORT).await;
    let mut raw = Raw::connect(&app).await;
    // Two heads that take two thirds of the time each, and a third one that is too slow.
    for _ in 0..2 {
        raw.send("GET /health/live HTTP/1.1\r\n").await;
        tokio::time::sleep(SHORT * 2 / 3).await;
        raw.send("host: x\r\n\r\n").await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    let began = Instant::now();
    let trickle = async {
        loop {
            tokio::time::sleep(SHORT / 10).await;
            if tokio::io::AsyncWriteExt::write_all(&mut raw.0, b"X").await.is_err() || began.elapsed() > SHORT * 2 {
                return;
            }
        }
    };
    trickle.await;
    let line = raw.answer().await.unwrap().expect_problem(408, "request_timeout");
    assert_eq!((line["fault"].as_str(), line["level"].as_str()), (Some("client"), Some("INFO")), "{line}");
    assert!(raw.is_ended().await);
}

#[tokio::test]
async fn an_idle_connection_ends_without_a_word_and_not_before_its_time() {
    let app = TestApp::start_with(|settings| (settings.door.head, settings.door.idle) = (SHORT, SHORT * 3)).await;
    let began = Instant::now();
    let mut never_used = Raw::connect(&app).await;
    let mut used = Raw::connect(&app).await;
    used.send(GET).await;
    assert_eq!(used.answer().await.unwrap().status, 200);
    assert!(never_used.is_ended().await);
    assert!((SHORT..SHORT * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
    used.send(GET).await;
    assert_eq!(used.answer().await.unwrap().status, 200, "used again before it was idle for long");
    let rested = Instant::now();
    assert!(used.is_ended().await);
    assert!((SHORT * 3..SHORT * 5).contains(&rested.elapsed()), "{:?}", rested.elapsed());
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_the_clients_fault() {
    let app = TestApp::start_with(|settings| settings.request_deadline = SHORT * 10).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    for (framing, body) in [("content-length: 100", "{\"buckets\""), ("transfer-encoding: chunked", "5\r\n{\"buc")] {
        let mut raw = Raw::connect(&app).await;
        let token = &device.token;
        raw.send(&format!(
            "POST /v1/buckets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\n{framing}\r\n\r\n{body}"
        ))
        .await;
        let line = raw.answer().await.unwrap().expect_problem(408, "request_timeout");
        assert_eq!((line["fault"].as_str(), line["level"].as_str()), (Some("client"), Some("INFO")), "{line}");
        assert_ne!(line["attribution"], "UPSTREAM", "{line}");
    }
}

#[tokio::test]
async fn who_does_not_read_gets_no_more_and_who_reads_slowly_gets_all() {
    let app = TestApp::start_with(|settings| settings.door.unread = SHORT).await;
    let asked = "GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(400);
    let length = {
        let mut raw = Raw::connect(&app).await;
        raw.send("GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await;
        raw.answer().await.unwrap().body.len()
    };
    let mut stalled = Raw::connect(&app).await;
    stalled.send(&asked).await;
    tokio::time::sleep(SHORT * 15).await;
    let mut answers = 0;
    while stalled.answer().await.is_some() {
        answers += 1;
    }
    assert!(answers < 40, "{answers} answers of {length} bytes were kept for somebody who did not read");

    let mut slow = Raw::connect(&app).await;
    slow.send(&asked).await;
    for number in 0..400 {
        // A pause that is short of the limit, between large pieces.
        if number % 50 == 0 {
            tokio::time::sleep(SHORT / 3).await;
        }
        assert_eq!(slow.answer().await.map(|answer| answer.status), Some(200), "{number}");
    }
}
