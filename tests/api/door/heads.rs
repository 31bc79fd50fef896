//! Heads that are refused: each refusal is a problem with an id, a line, and the end of the connection.

use super::Raw;
use crate::support::TestApp;

const GET: &str = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_head_that_cannot_be_read_is_a_problem_with_a_line_and_ends_the_connection() {
    let app = TestApp::start().await;
    let long = "x".repeat(300_000);
    for (text, status, code) in [
        ("nonsense\r\n\r\n", 400, "malformed"),
        ("GET /health/live HTTP/1.1\r\n\r\n", 400, "malformed"),
        ("GET /health/live HTTP/1.1\r\nhost: x\r\nHost: x\r\n\r\n", 400, "malformed"),
        ("GET /health/live HTTP/1.1\nhost: x\n\n", 400, "malformed"),
        ("GET /health/live HTTP/1.1\r\nhost: x\r\nbare: lf\n\r\n", 400, "malformed"),
        ("GET /health/live HTTP/1.1\r\nhost: x\r\nname : value\r\n\r\n", 400, "malformed"),
        ("GET /health/live HTTP/1.1\r\nhost: x\r\n\0: value\r\n\r\n", 400, "malformed"),
        ("GET /health/\u{7f} HTTP/1.1\r\nhost: x\r\n\r\n", 400, "malformed"),
        ("GET /health/live HTTP/3.0\r\nhost: x\r\n\r\n", 400, "malformed"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"),
        ("POST /v1/buckets HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", 400, "malformed"),
        ("POST /v1/buckets HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "malformed"),
        (
            "POST /v1/buckets HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
            "malformed",
        ),
        ("POST /v1/buckets HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, "malformed"),
        (&format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414, "uri_too_long"),
        (&format!("GET /health/live?{long} HTTP/1.1\r\nhost: x\r\n\r\n"), 414, "uri_too_long"),
        (&format!("GET /health/live HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n"), 431, "headers_too_large"),
        (&format!("GET /health/live HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(101)), 431, "headers_too_large"),
        (&format!("{long} /health/live HTTP/1.1\r\nhost: x\r\n\r\n"), 400, "malformed"),
    ] {
        let shown = &text[..text.len().min(120)];
        let mut raw = Raw::connect(&app).await;
        raw.send(text).await;
        let answer = raw.answer().await.unwrap_or_else(|| panic!("no answer to {shown:?}"));
        let line = answer.expect_problem(status, code);
        assert!(line["method"].is_null() && line["route"].is_null(), "{shown:?}: {line}");
        assert!(line.to_string().len() < 2000, "{line}");
        assert!(answer.head.contains("connection: close"), "{shown:?}: {}", answer.head);
        assert!(raw.is_ended().await, "{shown:?}");
    }
}

#[tokio::test]
async fn what_came_before_a_refused_head_is_answered_first_and_what_comes_behind_never() {
    let app = TestApp::start().await;
    let post = "POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\n\n\n\r\n";
    let chunked = "POST /nowhere HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n";
    for piece in [1, 7, 10_000] {
        let mut raw = Raw::connect(&app).await;
        let text = [GET, post, chunked, "GET /health/live HTTP/1.1\r\n\r\n", GET].concat();
        for part in text.as_bytes().chunks(piece) {
            // What is behind the refused head may meet a closed connection.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut raw.0, part).await;
        }
        assert_eq!(raw.answer().await.unwrap().status, 200, "{piece}");
        raw.answer().await.unwrap().expect_problem(404, "not_found");
        raw.answer().await.unwrap().expect_problem(404, "not_found");
        raw.answer().await.unwrap().expect_problem(400, "malformed");
        assert!(raw.is_ended().await, "{piece}");
    }
}

#[tokio::test]
async fn trace_is_no_method_of_any_path_whatever_else_is_wrong() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let mut raw = Raw::connect(&app).await;
    for path in ["/v1/rollups", "/v1/me", "/v1/devices"] {
        for (method, status, code) in [("TRACE", 405, "method_not_allowed"), ("PUT", 405, "method_not_allowed")] {
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\r\n",
                user.viewer
            );
            raw.send(&head).await;
            raw.answer().await.unwrap().expect_problem(status, code);
        }
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: k\r\n\r\n",
            user.viewer
        );
        raw.send(&head).await;
        raw.answer().await.unwrap().expect_problem(400, "malformed");
    }
}
