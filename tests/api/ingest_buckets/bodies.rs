//! How the body travels: its type, its encoding, its size.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::json;

use super::{Tracker, snapshot, verdicts};
use crate::support::Reply;

const LIMIT: usize = 1024 * 1024;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::encode_all(body, 1).unwrap()
}

fn sound() -> Vec<u8> {
    json!({"buckets": [snapshot(1, 40)]}).to_string().into_bytes()
}

/// A sound request, made as long as wanted with spaces.
fn padded(length: usize) -> Vec<u8> {
    let mut body = sound();
    body.resize(length, b' ');
    body
}

async fn post(tracker: &Tracker, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
    let mut request = tracker.app.request(Method::POST, "/v1/buckets").bearer(&tracker.device.token).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.send().await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn gzip_and_zstd_are_taken() {
    let tracker = Tracker::start().await;
    let plain = post(&tracker, &[("content-type", "Application/JSON; charset=utf-8")], sound()).await;
    assert_eq!(verdicts(&plain), ["inserted"]);
    for (encoding, body) in [("gzip", gzip(&sound())), ("zstd", zstd(&sound())), ("identity", sound())] {
        let reply = post(&tracker, &[JSON, ("content-encoding", encoding)], body).await;
        assert_eq!(verdicts(&reply), ["unchanged"], "{encoding}");
    }
}

#[tokio::test]
async fn a_mebibyte_fits_and_one_byte_more_does_not_however_it_is_compressed() {
    let tracker = Tracker::start().await;
    post(&tracker, &[JSON], padded(LIMIT)).await.expect_ok();
    post(&tracker, &[JSON, ("content-encoding", "gzip")], gzip(&padded(LIMIT))).await.expect_ok();
    for body in [padded(LIMIT + 1), padded(3 * LIMIT)] {
        post(&tracker, &[JSON], body.clone()).await.expect_problem(413, "batch_too_large");
        for (encoding, body) in [("gzip", gzip(&body)), ("zstd", zstd(&body))] {
            let reply = post(&tracker, &[JSON, ("content-encoding", encoding)], body).await;
            reply.expect_problem(413, "batch_too_large");
        }
    }
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_unfolds() {
    let tracker = Tracker::start().await;
    let huge = vec![b' '; 64 * LIMIT];
    for (encoding, bomb) in [("gzip", gzip(&huge)), ("zstd", zstd(&huge))] {
        assert!(bomb.len() < 2 * LIMIT, "{encoding}: {} bytes", bomb.len());
        let reply = post(&tracker, &[JSON, ("content-encoding", encoding)], bomb).await;
        reply.expect_problem(413, "batch_too_large");
    }
}

#[tokio::test]
async fn a_body_that_is_not_what_its_encoding_says_is_malformed() {
    let tracker = Tracker::start().await;
    for encoding in ["gzip", "zstd"] {
        let reply = post(&tracker, &[JSON, ("content-encoding", encoding)], sound()).await;
        reply.expect_problem(400, "malformed");
    }
    let mut cut = gzip(&sound());
    cut.truncate(cut.len() / 2);
    post(&tracker, &[JSON, ("content-encoding", "gzip")], cut).await.expect_problem(400, "malformed");
    post(&tracker, &[JSON], gzip(&sound())).await.expect_problem(400, "malformed");
    assert!(tracker.rows().await.is_empty());
}

#[tokio::test]
async fn other_types_and_encodings_are_named_as_unsupported() {
    let tracker = Tracker::start().await;
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-ndjson")],
        &[("content-type", "application/jsonp")],
        &[JSON, ("content-encoding", "br")],
        &[JSON, ("content-encoding", "x-unheard-of")],
        &[JSON, ("content-encoding", "gzip, br")],
    ] {
        post(&tracker, headers, sound()).await.expect_problem(415, "unsupported_media_type");
    }
    assert!(tracker.rows().await.is_empty());
}

#[tokio::test]
async fn what_is_not_json_is_malformed_and_is_not_repeated() {
    let tracker = Tracker::start().await;
    let deep = "[".repeat(200_000).into_bytes();
    let nan = json!({"buckets": [snapshot(1, 40)]}).to_string().replace(":1,", ":NaN,").into_bytes();
    for body in [Vec::new(), b"hunter2".to_vec(), b"{\"hunter2".to_vec(), b"\"\xff\"".to_vec(), deep, nan] {
        let reply = post(&tracker, &[JSON], body).await;
        let problem = reply.expect_problem(400, "malformed");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
    assert!(tracker.rows().await.is_empty());
}
