//! What of an export is not counted, and what is nobody's business.

use reqwest::Method;
use serde_json::{Value, json};

use super::Tool;
use super::wire::{event, request};

const AT: &str = "2026-11-20T10:31:00Z";

/// A record of Codex with these attributes besides its own.
fn codex(values: &Value) -> Value {
    let mut all = json!({"event.kind": "response.completed", "model": "gpt-5.2", "input_token_count": "7"});
    all.as_object_mut().unwrap().extend(values.as_object().unwrap().clone());
    event("codex.sse_event", AT, &all)
}

#[tokio::test]
async fn what_is_wrong_with_a_record_is_said_and_the_others_are_counted() {
    let tool = Tool::start().await;
    let at = |at: &str| request(1, at, 1, 1);
    for (record, code, name) in [
        (codex(&json!({"cached_token_count": 8})), "cached_exceeds_input", "/attributes/cached_token_count"),
        (codex(&json!({"reasoning_token_count": 1})), "reasoning_exceeds_output", "/attributes/reasoning_token_count"),
        (codex(&json!({"input_token_count": "1000000000001"})), "out_of_range", "/attributes/input_token_count"),
        (codex(&json!({"input_token_count": "99999999999999999999"})), "out_of_range", "/attributes/input_token_count"),
        (codex(&json!({"input_token_count": -1})), "out_of_range", "/attributes/input_token_count"),
        (codex(&json!({"input_token_count": "7.5"})), "not_an_integer", "/attributes/input_token_count"),
        (codex(&json!({"input_token_count": 7.5})), "not_an_integer", "/attributes/input_token_count"),
        (codex(&json!({"input_token_count": true})), "not_an_integer", "/attributes/input_token_count"),
        (codex(&json!({"model": "a\nb"})), "malformed_model", "/attributes/model"),
        (at("2026-10-21T11:59:59Z"), "too_old", ":"),
        (at("2026-11-20T12:05:01Z"), "in_future", ":"),
    ] {
        let (records, why) = tool.rejected(&[request(0, AT, 10, 5), record]).await;
        assert_eq!(records, 1, "{code}: {why}");
        let place = format!("1 records of usage were not counted. /resourceLogs/0/scopeLogs/0/logRecords/1{name}");
        assert!(why.starts_with(&place) && why.contains(code), "{code}: {why}");
    }
    assert_eq!(tool.says().await, ["10:30 10+5 of 1"]);
}

#[tokio::test]
async fn counts_of_a_tool_that_is_not_known_are_rejected() {
    let tool = Tool::start().await;
    let unknown = [event("opencode.api_request", AT, &json!({"input_tokens": 5})), request(0, AT, 10, 5)];
    let mut export = super::export(&unknown);
    export["resourceLogs"][0]["scopeLogs"][0]["scope"]["name"] = "opencode".into();
    let partial = tool.app.export(&tool.device.token, &export).await.expect_ok()["partialSuccess"].clone();
    assert_eq!(partial["rejectedLogRecords"], 1, "{partial}");
    let why = partial["errorMessage"].as_str().unwrap();
    assert!(why.contains("/resourceLogs/0/scopeLogs/0/logRecords/0: unknown_tool"), "{why}");
    assert_eq!(tool.says().await, ["10:30 10+5 of 1"]);
}

#[tokio::test]
async fn a_record_at_the_edge_of_time_is_counted() {
    let tool = Tool::start().await;
    // The first instant of a half hour, the last one, 30 days ago, and a clock that is five minutes fast.
    for (number, at) in
        ["2026-11-20T10:30:00Z", "2026-11-20T10:59:59.999999999Z", "2026-10-21T12:00:00Z", "2026-11-20T12:05:00Z"]
            .into_iter()
            .enumerate()
    {
        tool.count(&[request(number, at, 1, 0)]).await;
    }
    assert_eq!(tool.says().await, ["10:30 2+0 of 2", "12:00 1+0 of 1", "12:00 1+0 of 1"]);
}

#[tokio::test]
async fn a_model_comes_through_as_it_is_and_a_missing_one_is_unknown() {
    let tool = Tool::start().await;
    let models = ["claude-opus-4-7[1m]", "Gemini 3 Pro (High)", "通义千问", "C:\\models\\qwen.gguf", ""];
    for (number, model) in models.into_iter().enumerate() {
        let values = json!({"event.sequence": number, "model": model, "input_tokens": 1});
        tool.count(&[event("api_request", AT, &values)]).await;
    }
    tool.count(&[event("api_request", AT, &json!({"input_tokens": 1}))]).await;
    let stored = tool.app.ask("select model from usage.bucket order by model").await;
    let mut expected =
        vec!["C:\\models\\qwen.gguf", "Gemini 3 Pro (High)", "claude-opus-4-7[1m]", "unknown", "通义千问"];
    expected.sort_unstable();
    assert_eq!(stored, expected);
    assert_eq!(tool.app.ask("select request_count::text from usage.bucket where model = 'unknown'").await, ["2"]);
}

#[tokio::test]
async fn records_of_other_kinds_are_passed_over_and_decide_nothing() {
    let tool = Tool::start().await;
    let others = [
        event("claude_code.user_prompt", AT, &json!({"prompt_length": 7})),
        event("codex.sse_event", AT, &json!({"event.kind": "response.completed"})),
        event("codex.sse_event", AT, &json!({"event.kind": "response.created", "input_token_count": 5})),
        event("gemini_cli.api_error", AT, &json!({"error": "x"})),
        event("gemini_cli.api_response", AT, &json!({"status_code": 500})),
        json!({}),
        json!({"body": {"kvlistValue": {"values": []}}, "attributes": null, "severityNumber": "X"}),
    ];
    let reply = tool.app.export(&tool.device.token, &super::export(&others)).await;
    assert_eq!(reply.expect_ok(), &json!({}));
    assert_eq!(tool.app.ask("select device_id::text from usage.device_kind").await, Vec::<String>::new());
    let bucket = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "m"}]});
    tool.app.post_buckets(&tool.device.token, &bucket).await.expect_ok();
}

#[tokio::test]
async fn a_retired_tool_is_rejected_until_it_is_allowed_again() {
    let tool = Tool::start().await;
    let retire = tool.app.request(Method::POST, "/v1/sources/codex/retire").bearer(&tool.me.operator);
    retire.send().await.expect_ok();
    let (records, why) = tool.rejected(&[codex(&json!({})), request(0, AT, 1, 2)]).await;
    assert!(records == 1 && why.contains("/logRecords/0: retired_source"), "{why}");
    let allow = tool.app.request(Method::POST, "/v1/sources").bearer(&tool.me.operator);
    allow.json(&json!({"name": "codex"})).send().await.expect_ok();
    tool.count(&[codex(&json!({})), request(0, AT, 1, 2)]).await;
    assert_eq!(tool.says().await, ["10:30 1+2 of 1", "10:30 7+0 of 1"]);
}

#[tokio::test]
async fn a_half_hour_that_would_hold_too_much_refuses_its_post_and_no_other() {
    let tool = Tool::start().await;
    let most = 1_000_000_000_000;
    tool.count(&[request(0, AT, most, 0)]).await;
    let too_much = super::export(&[request(1, AT, 1, 0), request(2, "2026-11-20T11:00:00Z", 1, 0)]);
    let both = super::export(&[request(3, "2026-11-20T11:30:00Z", most, 0), request(4, "2026-11-20T11:30:00Z", 1, 0)]);
    let fine = super::export(&[request(5, AT, 0, 3)]);
    let [first, second, third] = [&too_much, &both, &fine].map(|export| tool.app.export(&tool.device.token, export));
    let (first, second, third) = tokio::join!(first, second, third);
    first.expect_problem(422, "invalid");
    second.expect_problem(422, "invalid");
    third.expect_ok();
    assert_eq!(tool.says().await, [format!("10:30 {most}+3 of 2")]);
    assert_eq!(tool.ledger().await, 2, "what was not counted may be sent again");
}
