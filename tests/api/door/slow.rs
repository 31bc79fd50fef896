//! Clients that take their time: with a head, with a body, with reading, and between two requests.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::Raw;
use crate::support::{TestApp, lines_of, wait_for_line};

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

/// Some 80,000 buckets of a user within 31 days.
const MANY: &str = "
    insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
        cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
        request_count, observed_at, changed_at, stamped)
    select '$user', '2026-10-22T00:00Z'::timestamptz + n * interval '30 minutes', '$device', 'codex',
        repeat('m', 100) || m, 1, 0, 0, 0, 0, 0, 0, 0, now(), now(), true
    from generate_series(0, 1400) n, generate_series(1, 57) m";

#[tokio::test]
async fn who_stalls_in_a_stream_or_before_an_answer_is_blamed_in_a_line_and_who_reads_on_is_not() {
    let app = TestApp::start_with(|settings| settings.door.unread = SHORT).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.tell(&MANY.replace("$user", &user.user_id.to_string()).replace("$device", &device.device_id.to_string())).await;
    let days = "from=2026-10-22&to=2026-11-20";
    for (path, accepted, times) in [
        (format!("/v1/buckets?{days}"), "application/x-ndjson", 1),
        (format!("/v1/buckets?{days}"), "text/csv", 1),
        // Whole answers, until the buffers between us are full.
        (format!("/v1/buckets?{days}&limit=1000"), "text/csv", 40),
        ("/openapi.json".to_owned(), "application/json", 300),
    ] {
        let id = Uuid::now_v7().to_string();
        let mut stalled = Raw::connect(&app).await;
        let asked = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nx-request-id: {id}\r\naccept: {accepted}\r\n\r\n",
            user.viewer
        );
        stalled.send(&asked.repeat(times)).await;
        let answer_lines = || lines_of(&id).into_iter().filter(|line| line["stage"] == "answer").collect::<Vec<_>>();
        let began = Instant::now();
        while answer_lines().is_empty() {
            assert!(began.elapsed() < SHORT * 60, "no line for {path}: {:?}", lines_of(&id));
            tokio::time::sleep(SHORT / 10).await;
        }
        tokio::time::sleep(SHORT).await;
        let lines = answer_lines();
        let [line] = lines.as_slice() else { panic!("{path}: {lines:?}") };
        let said = ["status", "error_code", "fault", "level", "route"].map(|field| line[field].clone());
        let route = path.split('?').next().unwrap();
        assert_eq!(
            serde_json::json!(said),
            serde_json::json!([408, "request_timeout", "client", "INFO", route]),
            "{line}"
        );
        assert_ne!(line["attribution"], "UPSTREAM", "{line}");
        // What the client was told at first, it was told.
        assert!(lines_of(&id).iter().any(|line| line["stage"] == "request" && line["status"] == 200), "{path}");
    }

    // Who reads to the end, or leaves in the middle, has stalled nothing.
    for is_read in [true, false] {
        let id = Uuid::now_v7().to_string();
        let mut raw = Raw::connect(&app).await;
        raw.send(&format!(
            "GET /v1/buckets?{days} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
             x-request-id: {id}\r\naccept: text/csv\r\n\r\n",
            user.viewer
        ))
        .await;
        wait_for_line(&id).await;
        if is_read {
            let mut all = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut raw.0, &mut all).await.unwrap();
            assert!(all.ends_with(b"0\r\n\r\n"), "the stream came to its end");
        }
        drop(raw);
        tokio::time::sleep(SHORT * 3).await;
        assert!(lines_of(&id).iter().all(|line| line["stage"] == "request"), "{:?}", lines_of(&id));
    }
}
