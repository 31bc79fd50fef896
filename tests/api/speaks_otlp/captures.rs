//! What real exporters sent becomes the buckets that it must become, in JSON and in protobuf, once.

use reqwest::Method;
use serde_json::{Value, json};

use super::Tool;

const BODIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dialects");
/// Buckets as `expected-buckets.txt` writes them.
const BUCKETS: &str =
    "select concat_ws(' ', source, model, to_char(hour_start at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),
    'input=' || input_tokens, 'cache_read=' || cache_read_tokens, 'output=' || output_tokens,
    'reasoning=' || reasoning_tokens, 'total=' || total_tokens)
    from usage.bucket where cache_write_5m_tokens + cache_write_1h_tokens + unclassified_tokens = 0 order by 1";

fn body(name: &str) -> Value {
    let text = std::fs::read_to_string(format!("{BODIES}/{name}")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["request"]["body"].take()
}

/// The lines below a heading.
fn expected(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("{BODIES}/expected-buckets.txt")).unwrap();
    let (_, section) = text.split_once(&format!("# {name} total ")).unwrap();
    section.lines().skip(1).take_while(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[tokio::test]
async fn captured_logs_become_their_buckets_in_either_encoding_and_twice_changes_nothing() {
    let tool = Tool::start().await;
    tool.app.clock.set("2026-11-29T00:00:00Z".parse().unwrap());
    let mut all = Vec::new();
    for (name, first_in_json) in [("otlp-codex-logs.json", true), ("otlp-gemini-logs.json", false)] {
        let export = body(name);
        all.extend(expected(name));
        all.sort();
        for in_json in [first_in_json, !first_in_json, true, false] {
            let token = &tool.device.token;
            let reply = if in_json {
                tool.app.export(token, &export).await
            } else {
                tool.app.export_protobuf(token, &export).await
            };
            let nothing_more: &[u8] = if in_json { b"{}" } else { b"" };
            assert_eq!((reply.status, &*reply.body), (200, nothing_more), "{name}");
            assert_eq!(tool.app.ask(BUCKETS).await, all, "{name}");
        }
    }
    assert_eq!(all.len(), 2);
    assert_eq!(tool.app.ask("select sum(request_count)::text from usage.bucket").await, ["2"]);
}

#[tokio::test]
async fn metrics_and_traces_are_answered_and_leave_nothing_behind() {
    let tool = Tool::start().await;
    for (path, body) in [
        ("/v1/metrics", body("otlp-codex-metrics.json")),
        ("/v1/metrics", body("otlp-gemini-metrics.json")),
        ("/v1/traces", json!({"resourceSpans": []})),
    ] {
        let reply = tool.app.request(Method::POST, path).bearer(&tool.device.token).json(&body).send().await;
        assert_eq!((reply.expect_ok(), reply.header("content-type")), (&json!({}), "application/json"));
        let reply = tool.app.post_protobuf(&tool.device.token, path, vec![0xff; 600_000]).await;
        assert_eq!((reply.status, &*reply.body, reply.header("content-type")), (200, &b""[..], super::PROTOBUF));
        tool.app.request(Method::POST, path).json(&body).send().await.expect_problem(401, "unauthorized");
        let viewer = tool.app.request(Method::POST, path).bearer(&tool.me.viewer).json(&body).send().await;
        viewer.expect_problem(403, "wrong_principal");
        let text = tool.app.request(Method::POST, path).bearer(&tool.device.token).header("content-type", "text/plain");
        text.body("x").send().await.expect_problem(415, "unsupported_media_type");
    }
    assert_eq!(tool.says().await, Vec::<String>::new());
    assert_eq!(tool.app.ask("select device_id::text from usage.device_kind").await, Vec::<String>::new());
}
