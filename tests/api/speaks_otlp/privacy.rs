//! Nothing of a payload but counts, model, tool and time comes anywhere.

use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};

use super::wire::{Status, event, export, protobuf, with_attributes};
use super::{PROTOBUF, Tool};
use crate::support::logs;

/// What stands nowhere else.
const SECRET: &str = "nightingale-7b1f";

/// An export whose every text is private, but for those that tell what it is.
fn full_of_secrets(values: &Value) -> Value {
    let mut record = event("claude_code.api_request", "2026-11-20T10:31:00Z", values);
    record["body"] = json!({ "stringValue": format!("prompt: {SECRET}") });
    record["eventName"] = format!("event {SECRET}.rs:7").into();
    let private = json!({"user.email": format!("{SECRET}@example.org"), "prompt": SECRET, "session.id": SECRET,
        "user.account_uuid": SECRET, "cwd": format!("/home/{SECRET}/src"), "error": SECRET, "request_id": SECRET});
    let more = with_attributes(&private);
    record["attributes"].as_array_mut().unwrap().extend(more.as_array().unwrap().clone());
    let prompt = json!({"body": {"stringValue": SECRET}, "attributes": with_attributes(&private)});
    let mut export = export(&[record, prompt]);
    let resource = json!({"service.name": SECRET, "host.name": SECRET, "process.command_line": SECRET});
    export["resourceLogs"][0]["resource"]["attributes"] = with_attributes(&resource);
    export["resourceLogs"][0]["scopeLogs"][0]["scope"]["name"] = SECRET.into();
    export
}

#[tokio::test]
async fn what_is_private_reaches_no_answer_no_log_and_no_table() {
    let tool = Tool::start().await;
    let counted = full_of_secrets(&json!({"model": "m", "input_tokens": 10, "output_tokens": 5}));
    let bad_count = full_of_secrets(&json!({"model": "m", "input_tokens": SECRET}));
    let bad_model = full_of_secrets(&json!({"model": format!("{SECRET}\n"), "input_tokens": 1}));
    let mut wrong_type = counted.clone();
    wrong_type["resourceLogs"][0]["scopeLogs"][0]["logRecords"][1]["attributes"] = SECRET.into();
    let mut wrong_key = counted.clone();
    wrong_key["resourceLogs"][0][SECRET] = json!({"a": 1});
    let cut = counted.to_string();
    let bodies = [&counted, &bad_count, &bad_model, &wrong_type, &wrong_key].map(Value::to_string);
    let in_json =
        bodies.into_iter().chain([cut[..cut.len() - 9].to_owned(), format!("{{\"{SECRET}\":1}}"), SECRET.into()]);
    let mut sent: Vec<(&str, Vec<u8>)> = in_json.map(|body| ("application/json", body.into_bytes())).collect();
    sent.extend([&counted, &bad_count, &bad_model].map(|export| (PROTOBUF, protobuf(export))));
    let whole = protobuf(&counted);
    sent.push((PROTOBUF, whole[..whole.len() - 5].to_vec()));
    sent.push((PROTOBUF, SECRET.into()));
    sent.push((SECRET, SECRET.into()));
    let mut statuses = Vec::new();
    for (media_type, body) in sent {
        let request = tool.app.request(Method::POST, "/v1/logs").bearer(&tool.device.token);
        let reply = request.header("content-type", media_type).body(body).send().await;
        assert!(!String::from_utf8_lossy(&reply.body).contains(SECRET), "{}", String::from_utf8_lossy(&reply.body));
        assert!(!format!("{:?}", reply.headers).contains(SECRET), "{:?}", reply.headers);
        statuses.push(reply.status);
    }
    assert_eq!(statuses, [200, 200, 200, 400, 200, 400, 400, 400, 200, 200, 200, 400, 400, 415]);
    assert_eq!(tool.says().await, ["10:30 10+5 of 1"]);
    assert_eq!(tool.app.columns_saying(SECRET).await, Vec::<String>::new());
    assert_eq!(logs::lines_with(SECRET), Vec::<Value>::new());
    // A hash tells nobody what it is of.
    assert_eq!(tool.app.ask("select count(*)::text from usage.ledger").await, ["1"]);
}

#[tokio::test]
async fn a_refusal_in_protobuf_can_be_read() {
    let tool = Tool::start().await;
    let reply = tool.app.post_protobuf(&tool.device.token, "/v1/logs", vec![0x0a, 0x7f, 0]).await;
    assert_eq!((reply.status, reply.header("content-type")), (400, PROTOBUF));
    let Status { code, message } = Status::decode(&*reply.body).unwrap();
    assert_eq!(code, 0);
    let begins = "malformed: The body is not the protobuf of an ExportLogsServiceRequest. See http";
    assert!(message.starts_with(begins) && message.contains(reply.header("x-request-id")), "{message}");
}
