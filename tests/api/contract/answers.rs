//! What the server answers is what the contract says: status, media type, code, and every member of every body.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document;
use super::schema::faults;
use crate::support::TestApp;
use crate::walk::{Answer, Walk, operations};

/// How an answer differs from what its operation says. `None` for what is no operation.
fn differences(document: &Value, operations: &[(String, Value)], Answer { route, reply }: &Answer) -> Vec<String> {
    let Some((_, operation)) = operations.iter().find(|(name, _)| name == route) else { return Vec::new() };
    let described = &operation["responses"][reply.status.to_string()];
    if described.is_null() {
        return vec![format!("{route}: {} is not described", reply.status)];
    }
    let media_type = reply.header("content-type").split(';').next().unwrap();
    let content = &described["content"][media_type];
    let at = format!("{route} {}", reply.status);
    if content.is_null() {
        let nothing = reply.body.is_empty() && described["content"].is_null();
        return if nothing { Vec::new() } else { vec![format!("{at}: {media_type} is not described")] };
    }
    // Clients of other products read members of their own before those of a problem.
    let is_foreign = route.contains(" /api/") || route.contains(" /functions/");
    let is_problem = media_type == "application/problem+json";
    let codes = described["x-problem-codes"].as_array();
    let mut found = Vec::new();
    if is_problem && !codes.is_some_and(|codes| codes.contains(&reply.json["code"])) {
        found.push(format!("{at}: the code {} is not described", reply.json["code"]));
    }
    if media_type != "application/x-ndjson" && media_type.ends_with("json") && !(is_problem && is_foreign) {
        found.extend(faults(document, &content["schema"], &reply.json, &at));
    }
    found
}

#[tokio::test]
async fn every_answer_of_every_route_is_as_the_contract_says() {
    let (walk, answers) = Walk::on(TestApp::start().await, "https://app.example").await.everything().await;
    let document = document(&walk.app).await;
    let operations = operations(&document);
    assert!(answers.len() > 200, "only {} answers came", answers.len());
    let found: BTreeSet<_> = answers.iter().flat_map(|answer| differences(&document, &operations, answer)).collect();
    assert_eq!(found, BTreeSet::new());

    // The same answers show every kind of drift.
    let rollups = "/paths/~1v1~1rollups/get/responses";
    for (place, planted, expected) in [
        ("/paths/~1v1~1buckets/get/responses/422".to_owned(), Value::Null, "GET /v1/buckets: 422 is not described"),
        (format!("{rollups}/200/content/text~1csv"), Value::Null, "text/csv is not described"),
        (format!("{rollups}/401/x-problem-codes/0"), "not_found".into(), "the code \"unauthorized\" is not described"),
        ("/components/schemas/Rollups/properties/width".to_owned(), Value::Null, ""),
        ("/components/schemas/Rollups/properties/as_of/type".to_owned(), "integer".into(), "is not \"integer\""),
        ("/components/schemas/Profile/required/0".to_owned(), "invented".into(), "/invented is missing"),
    ] {
        let mut drifted = document.clone();
        if expected.is_empty() {
            drifted
                .pointer_mut("/components/schemas/Rollups/properties")
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove("width");
        } else {
            *drifted.pointer_mut(&place).unwrap_or_else(|| panic!("there is no {place}")) = planted;
        }
        let operations = crate::walk::operations(&drifted);
        let found: Vec<_> = answers.iter().flat_map(|answer| differences(&drifted, &operations, answer)).collect();
        let expected = if expected.is_empty() { "/width is not described" } else { expected };
        assert!(found.iter().any(|found| found.contains(expected)), "{place}: {found:?}");
    }
}
