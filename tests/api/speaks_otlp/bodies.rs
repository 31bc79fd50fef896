//! Bodies of every kind, and what is refused before a record is looked at.

use std::io::Write as _;

use axum::body::{Body, Bytes};
use halfhour::kernel::operations::switches::Switch;
use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::wire::{Status, export, protobuf, request};
use super::{PROTOBUF, Tool};
use crate::support::TestApp;

const AT: &str = "2026-11-20T10:31:00Z";
const JSON: &str = "application/json";

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn compressed_bodies_and_bodies_in_chunks_are_read() {
    let tool = Tool::start().await;
    let records = |number| export(&[request(number, AT, 1, 0)]);
    for (number, media_type, body) in
        [(0, JSON, records(0).to_string().into_bytes()), (1, "application/x-protobuf; a=b", protobuf(&records(1)))]
    {
        let request = tool.app.request(Method::POST, "/v1/logs").bearer(&tool.device.token);
        let request = request.header("content-type", media_type).header("content-encoding", "gzip");
        assert_eq!(request.body(gzip(&body)).send().await.status, 200, "{number}");
    }
    let text = records(2).to_string();
    let chunks: Vec<Result<Bytes, std::io::Error>> =
        text.as_bytes().chunks(7).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let request = axum::http::Request::post("/v1/logs").header("content-type", "application/json");
    let request = request.header("authorization", format!("Bearer {}", tool.device.token));
    let chunked = request.body(Body::from_stream(futures_util::stream::iter(chunks))).unwrap();
    assert_eq!(tool.app.answer(chunked).await.status(), 200);
    assert_eq!(tool.says().await, ["10:30 3+0 of 3"]);
}

#[tokio::test]
async fn exports_without_records_are_fine_and_what_is_no_export_is_said_to_be_none() {
    let tool = Tool::start().await;
    let post = async |media_type: &str, body: &[u8]| {
        let request = tool.app.request(Method::POST, "/v1/logs").bearer(&tool.device.token);
        request.header("content-type", media_type).body(body).send().await
    };
    for body in
        ["{}", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":null}"#, r#"{"resourceLogs":[{},{"scopeLogs":[{}]}]}"#]
    {
        assert_eq!(post(JSON, body.as_bytes()).await.expect_ok(), &json!({}), "{body}");
    }
    assert_eq!(post(PROTOBUF, b"").await.status, 200);
    for (body, pointer) in [
        (r#"{"buckets":[]}"#, "/resourceLogs"),
        (r#"{"resourceMetrics":[]}"#, "/resourceLogs"),
        ("[]", ""),
        (r#"{"resourceLogs":{}}"#, "/resourceLogs"),
        (r#"{"resourceLogs":[7]}"#, "/resourceLogs/0"),
        (r#"{"resourceLogs":[{},{"scopeLogs":[{},{"logRecords":"x"}]}]}"#, "/resourceLogs/1/scopeLogs/1/logRecords"),
        (
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{"attributes":[{},[]]}]}]}]}"#,
            "/resourceLogs/0/scopeLogs/0/logRecords/1/attributes/1",
        ),
        (r#"{"resourceLogs":[{"resource":{"attributes":7}}]}"#, "/resourceLogs/0/resource/attributes"),
    ] {
        let reply = post(JSON, body.as_bytes()).await;
        assert_eq!(reply.expect_problem(400, "malformed")["errors"][0]["pointer"], pointer, "{body}");
    }
    for body in [&b"{"[..], b"", b"\xff", b"{\"resourceLogs\":[}", b"nul"] {
        post(JSON, body).await.expect_problem(400, "malformed");
    }
    let deep = format!("{{\"resourceLogs\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(post(JSON, deep.as_bytes()).await.status, 400);
    post("text/plain", b"{}").await.expect_problem(415, "unsupported_media_type");
    post("application/grpc", b"").await.expect_problem(415, "unsupported_media_type");
    // A group, a length beyond the end, a text that is none, a varint without an end, a list that is a number.
    for body in [&[0x0b_u8][..], &[0x0a, 2, 1], &[0x0a, 9, 18, 7, 10, 5, 10, 3, 0xff, 0xff, 0xff], &[0x80; 11], &[8, 1]]
    {
        assert_eq!(post(PROTOBUF, body).await.status, 400, "{body:?}");
    }
    assert_eq!(tool.says().await, Vec::<String>::new());
}

#[tokio::test]
async fn who_may_not_export_is_told_so_in_the_encoding_of_the_request() {
    let tool = Tool::start().await;
    let body = protobuf(&export(&[request(0, AT, 1, 0)]));
    for (token, path, status, code) in [
        ("hhd_forged", "/v1/logs", 401, "unauthorized"),
        (tool.me.viewer.as_str(), "/v1/logs", 403, "wrong_principal"),
        (tool.device.token.as_str(), "/v1/logs?x=1", 422, "invalid"),
        ("hhd_forged", "/v1/metrics", 401, "unauthorized"),
        (tool.me.operator.as_str(), "/v1/traces", 403, "wrong_principal"),
    ] {
        let reply = tool.app.post_protobuf(token, path, body.clone()).await;
        assert_eq!((reply.status, reply.header("content-type")), (status, PROTOBUF), "{path}");
        assert!(Status::decode(&*reply.body).unwrap().message.starts_with(code), "{path}");
        tool.app.request(Method::POST, path).bearer(token).json(&json!({})).send().await.expect_problem(status, code);
    }
    let keyed = tool.app.request(Method::POST, "/v1/logs").bearer(&tool.device.token).header("idempotency-key", "k");
    keyed.json(&json!({})).send().await.expect_problem(400, "malformed");
    assert_eq!(tool.says().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_export_may_be_larger_than_a_post_and_yet_has_its_limits() {
    let tool = Tool::start().await;
    let with_prompt = |bytes: usize| {
        let mut record = request(0, AT, 1, 0);
        record["body"] = json!({ "stringValue": "x".repeat(bytes) });
        export(&[record])
    };
    tool.app.export(&tool.device.token, &with_prompt(3_900_000)).await.expect_ok();
    tool.app.export(&tool.device.token, &with_prompt(4_200_000)).await.expect_problem(413, "batch_too_large");
    let many = |count: usize| export(&(0..count).map(|number| request(number, AT, 1, 0)).collect::<Vec<Value>>());
    tool.app.export_protobuf(&tool.device.token, &many(2_000)).await.expect_ok();
    let reply = tool.app.export_protobuf(&tool.device.token, &many(2_001)).await;
    assert_eq!((reply.status, reply.header("content-type")), (413, PROTOBUF));
    assert_eq!(tool.says().await, ["10:30 2000+0 of 2000"]);
}

#[tokio::test]
async fn a_switch_an_allowance_and_a_limit_hold_for_exports_too() {
    let app = TestApp::start_with(|settings| {
        settings.limits.device_buckets_per_hour = 500;
        settings.limits.device = 4;
    })
    .await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    let many = |from: usize, count: usize| {
        export(&(from..from + count).map(|number| request(number, AT, 1, 0)).collect::<Vec<Value>>())
    };
    app.switches().set(Switch::Ingest, false);
    let off = app.export(&device.token, &many(0, 1)).await;
    assert!(off.expect_problem(503, "switched_off").is_object() && !off.header("retry-after").is_empty());
    app.switches().set(Switch::Ingest, true);
    app.export(&device.token, &many(0, 400)).await.expect_ok();
    let refused = app.export(&device.token, &many(400, 101)).await;
    assert!(refused.expect_problem(429, "rate_limited").is_object() && !refused.header("retry-after").is_empty());
    app.export(&device.token, &many(400, 50)).await.expect_ok();
    assert_eq!(app.ask(super::SAYS).await, ["10:30 450+0 of 450"]);
    app.export(&device.token, &many(0, 0)).await.expect_problem(429, "rate_limited");
    // Metrics do not use up what logs may do, nor the other way round.
    app.request(Method::POST, "/v1/metrics").bearer(&device.token).json(&json!({})).send().await.expect_ok();
}
