//! Bodies in flight: how much of them is held at once, and what a compressed one may ask a decoder to hold.

use std::io::Write as _;

use halfhour::kernel::http::body_room::BodyRoom;
use reqwest::Method;
use serde_json::json;

use super::Raw;
use crate::support::{TestApp, TestDevice};

const KIB: usize = 1024;

fn bucket() -> serde_json::Value {
    json!({"buckets": [
        {"hour_start": "2026-11-20T11:00:00Z", "source": "codex", "model": "m", "input_tokens": 1, "output_tokens": 1},
    ]})
}

/// A post that has sent so many of its bytes and goes on some time.
async fn begin_post(app: &TestApp, device: &TestDevice, sent: usize, length: usize) -> Raw {
    let mut raw = Raw::connect(app).await;
    raw.send(&format!(
        "POST /v1/buckets HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{}",
        device.token,
        " ".repeat(sent)
    ))
    .await;
    raw
}

#[tokio::test]
async fn large_bodies_are_held_up_to_a_limit_and_small_ones_come_in_all_the_same() {
    let app = TestApp::start_with(|settings| settings.bodies.room = BodyRoom::new(KIB * KIB)).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(begin_post(&app, &device, 290 * KIB, 300 * KIB).await);
    }
    // Until what was sent has been read, which nothing tells.
    let large = json!({"buckets": [], "padding": "x".repeat(400 * KIB)});
    let mut refused = app.post_buckets(&device.token, &large).await;
    for _ in 0..200 {
        if refused.status == 503 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        refused = app.post_buckets(&device.token, &large).await;
    }
    refused.expect_problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    for _ in 0..10 {
        app.post_buckets(&device.token, &bucket()).await.expect_ok();
    }
    // Who is let in finishes, and who goes away gives its room back.
    let mut first = held.remove(0);
    first.send(&" ".repeat(10 * KIB)).await;
    first.answer().await.unwrap().expect_problem(400, "malformed");
    drop(held);
    for _ in 0..500 {
        let taken = app.post_buckets(&device.token, &large).await;
        if taken.status == 422 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the room was not given back");
}

#[tokio::test]
async fn a_body_that_only_promises_to_be_large_keeps_nobody_out() {
    let app = TestApp::start_with(|settings| settings.bodies.room = BodyRoom::new(KIB * KIB)).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let mut waiting = Vec::new();
    for _ in 0..12 {
        waiting.push(begin_post(&app, &device, 1, KIB * KIB).await);
    }
    let large = json!({"buckets": [], "padding": "x".repeat(400 * KIB)});
    app.post_buckets(&device.token, &large).await.expect_problem(422, "invalid");
}

#[tokio::test]
async fn a_frame_of_zstd_may_look_back_over_8_mebibytes_and_no_further() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    for (window_log, status) in [(10, 200), (23, 200), (24, 400), (27, 400), (31, 400)] {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(bucket().to_string().as_bytes()).unwrap();
        encoder.flush().unwrap();
        let body = encoder.finish().unwrap();
        let post = app.request(Method::POST, "/v1/buckets").bearer(&device.token);
        let post = post.header("content-type", "application/json").header("content-encoding", "zstd");
        let reply = post.body(body).send().await;
        assert_eq!(reply.status, status, "{window_log}: {}", reply.json);
        if status == 400 {
            let detail = reply.expect_problem(400, "malformed")["detail"].as_str().unwrap();
            assert!(detail.contains("8 MiB") && detail.contains("--long"), "{detail}");
        }
    }
}
