//! The published contract: complete for every route, true about codes, and served by the binary alone.

mod answers;
mod committed;
mod examples;
mod limits;
mod probes;
mod schema;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Map, Value};

use crate::routes::{Row, TABLE};
use crate::support::{Reply, TestApp};

/// The document as it is published.
async fn published(app: &TestApp) -> Value {
    app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone()
}

/// The same with every refusal where it is answered.
async fn document(app: &TestApp) -> Value {
    crate::walk::inlined(&published(app).await)
}

fn operations(document: &Value) -> Vec<(String, &Map<String, Value>)> {
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(move |(method, operation)| (format!("{method} {path}"), operation.as_object().unwrap()))
    });
    all.collect()
}

/// What is posted without saying anything more than the path does.
const WITHOUT_BODY: [&str; 7] = [
    "post /v1/backfills/{job_id}/execute",
    "post /v1/backfills/{job_id}/cancel",
    "post /v1/backfills/{job_id}/rollback",
    "post /v1/link-codes",
    "post /v1/devices/{device_id}/revoke",
    "post /v1/devices/{device_id}/rotate",
    "post /v1/sources/{name}/retire",
];

/// Refusals whose body is a word that a tracker of another product reads.
const VERBATIM: [(&str, &str); 2] = [
    ("post /functions/tokentracker-device-flow-poll", "404"),
    ("post /functions/tokentracker-device-flow-poll", "410"),
];

/// What is missing from an operation's description.
fn gaps(name: &str, operation: &Map<String, Value>) -> Vec<String> {
    let mut gaps = Vec::new();
    for field in ["operationId", "summary", "description", "tags"] {
        if operation.get(field).is_none_or(|value| value.as_str() == Some("")) {
            gaps.push(format!("{name}: no {field}"));
        }
    }
    let responses = operation["responses"].as_object().unwrap();
    let has_content = |response: &Value| response["content"].as_object().is_some_and(|content| !content.is_empty());
    if !responses.iter().any(|(status, response)| status.starts_with('2') && has_content(response)) {
        gaps.push(format!("{name}: no success with a body"));
    }
    // A 304 has no body.
    for (status, response) in responses.iter().filter(|(status, _)| !status.starts_with('2') && *status != "304") {
        let is_read_by_a_tracker = VERBATIM.contains(&(name, status.as_str()));
        if response["content"].get("application/problem+json").is_none() && !is_read_by_a_tracker {
            gaps.push(format!("{name}: {status} is not a problem"));
        }
    }
    if name.contains("/v1/") {
        for status in ["400", "401", "403", "422", "429", "500", "503", "504"] {
            if !responses.contains_key(status) {
                gaps.push(format!("{name}: {status} is not described"));
            }
        }
        if operation.get("security").is_none() {
            gaps.push(format!("{name}: who may call is not described"));
        }
    }
    if name.starts_with("post ") && operation.get("requestBody").is_none() && !WITHOUT_BODY.contains(&name) {
        gaps.push(format!("{name}: no request body"));
    }
    gaps
}

#[tokio::test]
async fn every_operation_is_described_whole() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let operations = operations(&document);
    let gaps: Vec<_> = operations.iter().flat_map(|(name, operation)| gaps(name, operation)).collect();
    assert_eq!(gaps, Vec::<String>::new());
    let names: Vec<_> = operations.iter().map(|(name, _)| name.as_str()).collect();
    for expected in [
        "post /v1/buckets",
        "get /v1/buckets",
        "get /v1/rollups",
        "get /health/live",
        "get /health/ready",
        "get /problems/{code}",
    ] {
        assert!(names.contains(&expected), "{expected} is not among {names:?}");
    }
}

#[test]
fn an_operation_that_says_nothing_is_caught() {
    let bare = serde_json::json!({"responses": {"200": {}, "404": {"content": {"text/plain": {}}}}});
    let gaps = gaps("post /v1/bare", bare.as_object().unwrap());
    for expected in
        ["no operationId", "no success with a body", "404 is not a problem", "429 is not described", "no request body"]
    {
        assert!(gaps.iter().any(|gap| gap.contains(expected)), "{expected} is not among {gaps:?}");
    }
}

#[tokio::test]
async fn every_reference_in_the_contract_leads_somewhere() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut open = vec![&document];
    let mut references = 0;
    while let Some(value) = open.pop() {
        match value {
            Value::Array(values) => open.extend(values),
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    references += 1;
                    let target = document.pointer(reference.trim_start_matches('#'));
                    assert!(target.is_some(), "{reference} leads nowhere");
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    assert!(references > 5, "only {references} references were looked at");
}

#[tokio::test]
async fn every_problem_code_has_a_page_and_others_have_none() {
    let app = TestApp::start().await;
    for code in halfhour::kernel::problem::Code::ALL {
        let reply = app.request(Method::GET, &format!("/problems/{}", code.as_str())).send().await;
        assert_eq!(reply.status, 200);
        let page = String::from_utf8(reply.body).unwrap();
        assert!(page.contains(code.title()) && page.contains(code.as_str()), "{page}");
    }
    app.request(Method::GET, "/problems/nonsense").send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn the_interactive_documentation_loads_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let page = app.request(Method::GET, "/docs/").send().await;
    assert_eq!(page.status, 200);
    let text = String::from_utf8(page.body).unwrap();
    assert!(!text.contains("http://") && !text.contains("https://"), "{text}");
    let asset = app.request(Method::GET, "/docs/swagger-ui-bundle.js").send().await;
    assert!(asset.status == 200 && asset.body.len() > 100_000, "{} {}", asset.status, asset.body.len());
}

/// The kinds of tokens that a row of the table lets in; none where everyone may ask.
fn let_in((_, _, statuses): &Row) -> BTreeSet<&'static str> {
    let kinds = ["device", "viewer", "operator"].into_iter().zip(&statuses[2..5]);
    kinds.filter(|(_, status)| statuses[0] == 401 && **status != 403).map(|(kind, _)| kind).collect()
}

/// The same as the contract says it.
fn said_to_be_let_in(operation: &Value) -> BTreeSet<&str> {
    let requirements = operation["security"].as_array().into_iter().flatten();
    requirements.filter_map(Value::as_object).flat_map(|requirement| requirement.keys().map(String::as_str)).collect()
}

#[tokio::test]
async fn the_contract_says_of_every_route_who_may_call_it() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let mut asked = 0;
    for (name, operation) in crate::walk::operations(&document) {
        let row = TABLE.iter().find(|row| row.0.split('?').next() == Some(&name)).unwrap();
        let said = said_to_be_let_in(&operation);
        assert_eq!(said, let_in(row), "{name}");
        assert!(said.iter().all(|kind| schemes.contains_key(*kind)), "{name}: {said:?}");
        asked += said.len();
    }
    assert!(asked > 40, "only {asked} kinds of tokens were looked at");
}

#[tokio::test]
async fn every_link_of_the_contract_leads_to_an_operation_that_takes_what_it_gives() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let operations = crate::walk::operations(&document);
    let mut links = 0;
    for (name, operation) in &operations {
        let answers = operation["responses"].as_object().unwrap().values();
        for (link, told) in answers.filter_map(|answer| answer["links"].as_object()).flatten() {
            links += 1;
            let target = operations.iter().find(|(_, target)| target["operationId"] == told["operationId"]);
            let (_, target) = target.unwrap_or_else(|| panic!("{name}: {link} leads nowhere"));
            let takes: Vec<_> = target["parameters"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
            for parameter in told["parameters"].as_object().into_iter().flat_map(Map::keys) {
                assert!(takes.iter().any(|taken| *taken == parameter), "{name}: {link} gives {parameter}");
            }
        }
    }
    assert_eq!(links, 22, "a link that is not there leads from an operation or a status that is gone");
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_405_whatever_else_the_request_says() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let document = document(&app).await;
    let mut asked = 0;
    for (name, operation) in crate::walk::operations(&document) {
        let path = name.split_once(' ').unwrap().1.replace("{code}", "invalid").replace("{name}", "ingest");
        let path = path.replace("{job_id}", NOBODYS).replace("{device_id}", NOBODYS);
        let token = match said_to_be_let_in(&operation).into_iter().next() {
            Some("device") => &laptop.token,
            Some("operator") => &ann.operator,
            _ => &ann.viewer,
        };
        for (header, value) in [("idempotency-key", "a"), ("if-match", "x"), ("accept", "image/png"), ("prefer", "x")] {
            let reply = app.request(Method::TRACE, &path).bearer(token).header(header, value).send().await;
            assert_eq!((reply.status, reply.header("allow").is_empty()), (405, false), "{name} with {header}");
            asked += 1;
        }
    }
    assert!(asked > 200, "only {asked} requests were made");
}

const NOBODYS: &str = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";

const ORIGIN: &str = "https://app.example";

async fn for_browsers() -> TestApp {
    TestApp::start_with(|settings| settings.cors_origins = vec![ORIGIN.parse().unwrap()]).await
}

async fn preflight(app: &TestApp, origin: &str, method: &str, path: &str, header: &str) -> Reply {
    let request = app.request(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    request.header("access-control-request-headers", header).send().await
}

/// Whether a list of names in a header has one, in whatever case.
fn lists(header: &str, name: &str) -> bool {
    header.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(name))
}

#[tokio::test]
async fn browsers_may_call_from_listed_origins_only() {
    let app = for_browsers().await;
    let rollups = async |origin| preflight(&app, origin, "GET", "/v1/rollups", "authorization").await;
    assert_eq!(rollups(ORIGIN).await.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(rollups("https://evil.example").await.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn browsers_may_send_every_header_and_read_every_header_that_the_contract_describes() {
    let app = for_browsers().await;
    let document = document(&app).await;
    let reply = app.request(Method::GET, "/health/live").header("origin", ORIGIN).send().await;
    let exposed = reply.header("access-control-expose-headers");
    let (mut sent, mut read, mut refused) = (0, 0, Vec::new());
    for (name, operation) in operations(&document) {
        let (method, path) = name.split_once(' ').unwrap();
        let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
        for header in parameters.filter(|parameter| parameter["in"] == "header") {
            let header = header["name"].as_str().unwrap();
            let reply = preflight(&app, ORIGIN, &method.to_uppercase(), path, header).await;
            let [methods, headers] =
                ["access-control-allow-methods", "access-control-allow-headers"].map(|name| reply.header(name));
            if !lists(methods, method) || !lists(headers, header) {
                refused.push(format!("{name} may not be sent {header}"));
            }
            sent += 1;
        }
        let responses = operation["responses"].as_object().unwrap().values();
        for header in responses.filter_map(|response| response["headers"].as_object()).flat_map(Map::keys) {
            if !lists(exposed, header) {
                refused.push(format!("{header} of {name} may not be read"));
            }
            read += 1;
        }
    }
    assert_eq!(refused, Vec::<String>::new());
    assert!(sent > 5 && read > 10, "only {sent} and {read} headers were looked at");
}
