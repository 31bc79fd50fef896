//! The examples of the contract work: a body made of them is taken, and so is the example of each parameter.

use reqwest::Method;
use serde_json::{Map, Value};

use super::schema::resolved;
use super::{document, said_to_be_let_in};
use crate::support::TestApp;
use crate::walk::operations;

/// Bodies whose examples nobody can give: codes that only a server makes, an order that has the fields of every action, and
/// what a device was called.
const NEEDS_SOMETHING: [(&str, &str); 4] = [
    ("POST /v1/link-codes/exchange", "unusable_code"),
    ("POST /v1/pairings", "no_such_code"),
    ("PATCH /v1/devices/{device_id}", "renamed_meanwhile"),
    ("POST /v1/backfills", "not_a_merge"),
];

/// The example of a schema: its own, or one made of those of its members.
fn example(document: &Value, schema: &Value) -> Option<Value> {
    let schema = resolved(document, schema);
    let own = schema.get("example").or_else(|| schema["examples"].get(0)).or_else(|| schema.get("default"));
    if own.is_some() {
        return own.cloned();
    }
    let members = schema["properties"].as_object()?.iter();
    let members: Map<_, _> = members.filter_map(|(name, one)| Some((name.clone(), example(document, one)?))).collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

#[tokio::test]
async fn a_body_made_of_the_examples_is_taken() {
    let app = TestApp::start().await;
    let ann = app.user("somebody", "UTC").await;
    let laptop = app.device(&ann, "desktop").await;
    let document = document(&app).await;
    let (mut accepted, mut wrong) = (0, Vec::new());
    for (route, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let is_foreign = ["trackers", "dashboards", "opentelemetry"].iter().any(|tag| operation["tags"][0] == *tag);
        let Some(body) = example(&document, schema).filter(|_| !is_foreign) else { continue };
        let (method, path) = route.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let let_in = said_to_be_let_in(&operation);
        let tokens = [("operator", &ann.operator), ("viewer", &ann.viewer), ("device", &laptop.token)];
        let token = tokens.iter().find(|(kind, _)| let_in.contains(kind)).map_or("", |(_, token)| token);
        let mut request = app
            .request(method, &path.replace("{name}", "retention").replace("{device_id}", &laptop.device_id.to_string()))
            .bearer(token)
            .json(&body);
        if operation["parameters"].as_array().unwrap().iter().any(|one| one["name"] == "Idempotency-Key") {
            request = request.header("idempotency-key", "example");
        }
        let reply = request.send().await;
        let code = reply.json["errors"][0]["code"].as_str().unwrap_or_default();
        let is_excused = NEEDS_SOMETHING.iter().any(|(of, needed)| *of == route && code == *needed);
        if (200..300).contains(&reply.status) {
            accepted += 1;
        } else if !is_excused {
            wrong.push(format!("{route}: {body}: {} {}", reply.status, reply.json));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(accepted >= 6, "only {accepted} bodies were taken");
}
