//! The examples of the contract work: each fits its schema, and a request made of them is taken.

use reqwest::Method;
use serde_json::{Map, Value};

use super::schema::{faults, resolved};
use super::{document, said_to_be_let_in};
use crate::support::{TestApp, TestUser};
use crate::walk::operations;

/// Requests that no example makes right, and how they are refused: what only a server makes (a code, a job), a name that is
/// the caller's own or a device's, and an order that has the fields of every action.
const NEEDS_SOMETHING: &[(&str, &str)] = &[
    ("POST /v1/link-codes/exchange", "unusable_code"),
    ("POST /v1/pairings", "no_such_code"),
    ("PATCH /v1/devices/{device_id}", "renamed_meanwhile"),
    ("POST /v1/backfills", "not_a_merge"),
    ("DELETE /v1/me", "not_the_name"),
    ("POST /functions/vibeusage-link-code-exchange", "unusable_code"),
    ("POST /functions/vibescore-link-code-exchange", "unusable_code"),
    ("POST /functions/tokentracker-device-flow-poll", "unknown"),
];

/// Every example and every default below `value`: its place, its schema, and it.
fn shown<'a>(value: &'a Value, at: &str) -> Vec<(String, &'a Value, &'a Value)> {
    let below = |name: &str, one: &'a Value| shown(one, &format!("{at}/{name}"));
    match value {
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(place, one)| below(&place.to_string(), one)).collect()
        }
        Value::Object(members) => {
            let mut found: Vec<_> = members.iter().flat_map(|(name, one)| below(name, one)).collect();
            // There, names are those of fields and parameters.
            if !["/properties", "/responses"].iter().any(|names| at.ends_with(names)) {
                let schema = members.get("schema").unwrap_or(value);
                let one = ["example", "default"].into_iter().filter_map(|name| members.get(name));
                let several = members.get("examples").map(|several| {
                    several.as_array().unwrap_or_else(|| panic!("{at}: examples of another form than these are read"))
                });
                found.extend(one.chain(several.into_iter().flatten()).map(|one| (at.to_owned(), schema, one)));
            }
            found
        }
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn every_example_and_every_default_fits_its_schema() {
    let document = document(&TestApp::start().await).await;
    let wrong = |document: &Value| -> Vec<String> {
        let all = shown(document, "");
        assert!(all.len() > 250, "only {} examples were found", all.len());
        all.iter().flat_map(|(at, schema, example)| faults(document, schema, example, at)).collect()
    };
    assert_eq!(wrong(&document), Vec::<String>::new());
    for (place, planted) in [
        ("Receipt/properties/verdicts/example/0", "insert"),
        ("NewSource/properties/name/examples/0", "Claude Code"),
        ("Device/properties/kept/example", "none"),
        ("PostedBuckets/example/buckets/0/hour_start", "today"),
    ] {
        let mut drifted = document.clone();
        let place = format!("/components/schemas/{place}");
        *drifted.pointer_mut(&place).unwrap_or_else(|| panic!("there is no {place}")) = planted.into();
        assert_eq!(wrong(&drifted).len(), 1, "{place}: {planted}");
    }
}

/// The example of a schema itself.
fn own_example<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let schema = resolved(document, schema);
    let of_first = || own_example(document, schema["anyOf"].get(0)?);
    schema.get("example").or_else(|| schema["examples"].get(0)).or_else(of_first)
}

/// The example of a schema: its own, or one made of those of its members or of its items.
fn example(document: &Value, schema: &Value) -> Option<Value> {
    let own = own_example(document, schema).or_else(|| resolved(document, schema).get("default"));
    if own.is_some() {
        return own.cloned();
    }
    let schema = resolved(document, schema);
    if schema["items"].is_object() {
        return example(document, &schema["items"]).map(|one| Value::Array(vec![one]));
    }
    let members = schema["properties"].as_object()?.iter();
    let members: Map<_, _> = members.filter_map(|(name, one)| Some((name.clone(), example(document, one)?))).collect();
    (!members.is_empty()).then_some(Value::Object(members))
}

/// The parameters of an operation that stand in `place` and have an example, with it as text.
fn parameters(document: &Value, operation: &Value, place: &str) -> Vec<(String, String)> {
    let all = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == place);
    let with_example = |one: &Value| {
        let of_schema = || own_example(document, &one["schema"]);
        let of_items = || own_example(document, one["schema"].get("items")?);
        let value = one.get("example").or_else(of_schema).or_else(of_items)?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((one["name"].as_str().unwrap().to_owned(), text))
    };
    all.filter_map(with_example).collect()
}

/// The path and the query that the examples make; `None` where the path needs something else.
async fn target(app: &TestApp, ann: &TestUser, document: &Value, (route, operation): (&str, &Value)) -> Option<String> {
    let (method, path) = route.split_once(' ').unwrap();
    let mut path = path.to_owned();
    for (name, value) in parameters(document, operation, "path") {
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    if path.contains("{device_id}") {
        let spare = app.device(ann, &format!("spare for {method} {path}")).await;
        path = path.replace("{device_id}", &spare.device_id.to_string());
    }
    // A body has everything that a post needs.
    let query = parameters(document, operation, "query").into_iter().filter(|_| operation["requestBody"].is_null());
    let pairs = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    (!path.contains('{')).then(|| if pairs.is_empty() { path.clone() } else { format!("{path}?{pairs}") })
}

/// Generated clients say whatever has a default, so that a default may be said beside everything.
#[tokio::test]
async fn every_default_may_be_said_beside_days() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let document = document(&app).await;
    let (mut said, mut wrong) = (0, Vec::new());
    for (route, operation) in operations(&document) {
        let token = match said_to_be_let_in(&operation) {
            kinds if kinds.contains("viewer") => &ann.viewer,
            kinds if kinds.contains("operator") => &ann.operator,
            _ => continue,
        };
        let all = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "query");
        let value = |one: &Value| {
            let schema = &one["schema"];
            let day = ["from", "to"].iter().any(|name| one["name"] == *name).then(|| Value::from("2026-11-02"));
            schema.get("default").or_else(|| schema["anyOf"][0].get("default")).cloned().or(day)
        };
        let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs: Vec<_> = all.filter_map(|one| Some((one["name"].as_str()?, text(value(one)?)))).collect();
        let path = route.split(' ').nth(1).unwrap();
        if !route.starts_with("GET ") || path.contains('{') || pairs.is_empty() {
            continue;
        }
        said += pairs.len();
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let reply = app.request(Method::GET, &format!("{path}?{query}")).bearer(token).send().await;
        if reply.status != 200 {
            wrong.push(format!("{route}?{query}: {} {}", reply.status, reply.json));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(said > 20, "only {said} parameters were said");
}

#[tokio::test]
async fn a_request_made_of_the_examples_is_taken() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let (mut accepted, mut wrong) = (Vec::new(), Vec::new());
    for (route, operation) in operations(&document) {
        // Names are the same everywhere.
        let ann = app.user(&route, "UTC").await;
        let laptop = app.device(&ann, "desktop").await;
        let Some(target) = target(&app, &ann, &document, (&route, &operation)).await else { continue };
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body = if schema.is_null() { None } else { example(&document, schema) };
        if body.is_none() && !operation["requestBody"].is_null() {
            continue;
        }
        let let_in = said_to_be_let_in(&operation);
        let tokens = [("operator", &ann.operator), ("viewer", &ann.viewer), ("device", &laptop.token)];
        let token = tokens.iter().find(|(kind, _)| let_in.contains(kind)).map_or("", |(_, token)| token);
        let method = Method::from_bytes(route.split(' ').next().unwrap().as_bytes()).unwrap();
        let mut request = app.request(method, &target).bearer(token);
        for (name, value) in parameters(&document, &operation, "header") {
            request = request.header(&name, &value);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let reply = request.send().await;
        let words = [&reply.json["errors"][0]["code"], &reply.json["code"], &reply.json["status"]];
        let code = words.into_iter().find_map(Value::as_str).unwrap_or_default();
        if (200..300).contains(&reply.status) {
            accepted.push(route);
        } else if !NEEDS_SOMETHING.contains(&(route.as_str(), code)) {
            wrong.push(format!("{route}: {target} {body:?}: {} {}", reply.status, reply.json));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(accepted.len() > 60, "only {accepted:?} were taken");
    for expected in ["POST /v1/buckets", "POST /api/usage/ingest", "PUT /v1/switches/{name}", "GET /v1/rollups"] {
        assert!(accepted.iter().any(|route| route == expected), "{expected} is not among {accepted:?}");
    }
}
