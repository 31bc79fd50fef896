//! `POST /v1/logs` as coding tools' own exporters meet it.

mod bodies;
mod captures;
mod corrections;
mod kinds;
mod laws;
mod ledger;
mod partial;
mod privacy;
mod wire;

use prost::Message as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp, TestDevice, TestUser};
use wire::{Answer, export, protobuf};

const PROTOBUF: &str = "application/x-protobuf";
/// `10:30 10+5 of 2`: the half hour, input and output of so many requests.
const SAYS: &str = "select concat(to_char(hour_start at time zone 'UTC', 'HH24:MI'), ' ', input_tokens, '+',
    output_tokens, ' of ', request_count) from usage.bucket order by 1";

/// An export of so many records, new ones each time.
pub fn exported(count: usize) -> Value {
    let session = uuid::Uuid::now_v7().to_string();
    let record = |number: usize| {
        let values = json!({"session.id": session, "event.sequence": number, "model": "hot", "input_tokens": 1});
        wire::event("claude_code.api_request", &format!("2026-11-20T10:{:02}:00Z", number % 60), &values)
    };
    export(&(0..count).map(record).collect::<Vec<Value>>())
}

/// A server, a user and a device of theirs that counts.
struct Tool {
    app: TestApp,
    me: TestUser,
    device: TestDevice,
}

impl TestApp {
    /// Exports logs in JSON.
    async fn export(&self, token: &str, export: &Value) -> Reply {
        self.request(Method::POST, "/v1/logs").bearer(token).json(export).send().await
    }

    /// Exports the same logs in protobuf.
    async fn export_protobuf(&self, token: &str, export: &Value) -> Reply {
        self.post_protobuf(token, "/v1/logs", protobuf(export)).await
    }

    async fn post_protobuf(&self, token: &str, path: &str, body: Vec<u8>) -> Reply {
        self.request(Method::POST, path).bearer(token).header("content-type", PROTOBUF).body(body).send().await
    }
}

impl Tool {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let me = app.user("me", "Europe/Berlin").await;
        let device = app.device(&me, "laptop").await;
        Self { app, me, device }
    }

    /// Exports records that are all counted.
    async fn count(&self, records: &[Value]) {
        let reply = self.app.export(&self.device.token, &export(records)).await;
        assert_eq!((reply.expect_ok(), reply.header("content-type")), (&json!({}), "application/json"));
    }

    /// What of an export is not counted: how many records, and why.
    async fn rejected(&self, records: &[Value]) -> (i64, String) {
        let reply = self.app.export(&self.device.token, &export(records)).await;
        let partial = &reply.expect_ok()["partialSuccess"];
        let in_json =
            (partial["rejectedLogRecords"].as_i64().unwrap_or(0), partial["errorMessage"].as_str().unwrap_or(""));
        let in_json = (in_json.0, in_json.1.to_owned());
        // What was counted by now counts no more, and what was rejected is so again.
        let reply = self.app.export_protobuf(&self.device.token, &export(records)).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, PROTOBUF));
        let answer = Answer::decode(&*reply.body).unwrap().partial_success.unwrap_or_default();
        assert_eq!((answer.rejected_log_records, answer.error_message), in_json);
        in_json
    }

    async fn says(&self) -> Vec<String> {
        self.app.ask(SAYS).await
    }

    /// The ledger's rows.
    async fn ledger(&self) -> usize {
        self.app.ask("select record_hash::text from usage.ledger").await.len()
    }
}
