//! Every bound that the contract has for what is sent is the server's: what lies on the one side of it is taken, and what
//! lies on the other side is refused by name. Nothing that is sent is without a bound.

use std::cell::Cell;
use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::document;
use super::probes::probes;
use super::schema::resolved;
use crate::routes::TABLE;
use crate::support::{Reply, TestApp, TestDevice, TestUser};
use crate::walk::operations;

/// Routes whose bodies are those of other products, and read by other rules.
const FOREIGN_TAGS: [&str; 3] = ["trackers", "opentelemetry", "contract"];
/// What may be as long as a request may: nobody reads it, or any text has a meaning.
const WITHOUT_BOUND: [&str; 2] = ["GET /pair ?code", "GET /pair ?user_code"];

const DEVICE: &str = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";
/// Bodies on which all of a route's fields can be tried, where that of the table of routes is not enough.
const BODIES: [(&str, &str); 4] = [
    ("POST /v1/devices", r#"{"name":"tablet","platform":"linux"}"#),
    ("POST /v1/users", r#"{"name":"carl","time_zone":"Europe/Berlin"}"#),
    ("POST /v1/sources", r#"{"name":"codex","title":"Codex"}"#),
    (
        "POST /v1/buckets",
        r#"{"buckets":[{"hour_start":"2026-11-20T10:30:00Z","source":"codex","model":"m","output_tokens":1000000000000}]}"#,
    ),
];
/// The fields of an order differ by action.
const IMPORT: &str = r#"{"action":"import","reason":"x","from":"2026-10-30","to":"2026-11-02","buckets":[
    {"user_id":"$user","device_id":"$device","hour_start":"2026-11-01T10:30:00Z","source":"codex","model":"m",
    "output_tokens":1000000000000}]}"#;
const MERGE: &str = r#"{"action":"merge","reason":"x","from_device_id":"01a1fbd2-0c6a-74cb-bc08-001fcbebbdc3",
    "into_device_id":"01a1fbd2-0c6a-74cb-bc08-001fcbebbdc4","resolve":"sum"}"#;
const REPRICE: &str = r#"{"action":"reprice","reason":"x","book":1}"#;
/// Fields of bodies whose values must be those of something that there is.
const DATA: [&str; 5] = ["source", "user_id", "device_id", "book", "csv"];
/// Parameters that are taken beside another one only.
const BESIDE: [(&str, &str, &str); 1] = [("GET /v1/rollups", "week_start", "width=week")];
/// What the server knows by name only to say why it refuses it.
const KNOWN_TO_BE_REFUSED: [(&str, &[&str]); 2] = [
    // An import of lines has no fields of other actions.
    ("POST /v1/backfills", &["from_device_id", "into_device_id", "resolve", "book"]),
    ("POST /v1/backfills /buckets/0", &["observed_at"]),
];
const OF_MERGES: [&str; 3] = ["from_device_id", "into_device_id", "resolve"];

/// A server, and somebody who tries its bounds.
struct Prober {
    app: TestApp,
    ann: TestUser,
    laptop: TestDevice,
    tried: Cell<usize>,
    known: Cell<usize>,
}

impl Prober {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let ann = app.user("ann", "UTC").await;
        let laptop = app.device(&ann, "laptop").await;
        Self { app, ann, laptop, tried: 0.into(), known: 0.into() }
    }

    /// Where the document and the server differ about one operation.
    async fn differences(&self, document: &Value, route: &str, operation: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let described = parameters.clone().filter_map(|parameter| parameter["name"].as_str());
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "query" {
                for (value, is_taken) in probes(document, name, &parameter["schema"]) {
                    let reply = self.ask(route, operation, &[(name, &value)], None).await;
                    found.extend(judge(&format!("{route} ?{name}"), &value, is_taken, &format!("?{name}"), &reply));
                }
            }
        }
        let described: BTreeSet<_> = described.collect();
        let reply = self.ask(route, operation, &[("no_such_parameter", &json!(1))], None).await;
        found.extend(self.undescribed(route, &reply, &described));
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_null() {
            found.extend(self.of_object(document, (route, operation), schema, "").await);
        }
        found
    }

    /// The names that the server knows, by its refusal of one that there is not, and that the contract does not have.
    fn undescribed(&self, what: &str, reply: &Reply, described: &BTreeSet<&str>) -> Vec<String> {
        let details = reply.json["errors"].as_array().into_iter().flatten().filter_map(|one| one["detail"].as_str());
        let known =
            details.filter_map(|detail| detail.split_once("known are: ")).flat_map(|(_, names)| names.split(", "));
        let known: Vec<_> = known.map(|name| name.trim_end_matches('.')).filter(|name| *name != "none").collect();
        self.known.set(self.known.get() + known.len());
        let is_excused =
            |name: &&str| KNOWN_TO_BE_REFUSED.iter().any(|(of, names)| *of == what && names.contains(name));
        let more = known.into_iter().filter(|name| !described.contains(name) && !is_excused(name));
        more.map(|name| format!("{what}: {name} is not described")).collect()
    }

    /// The same of the members of an object within a body, and of those of the objects in its lists.
    async fn of_object(&self, document: &Value, about: (&str, &Value), schema: &Value, at: &str) -> Vec<String> {
        let (route, schema) = (about.0, resolved(document, schema));
        let mut found = Vec::new();
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let pointer = format!("{at}/{name}");
            // Which tools and owners there are is data.
            let is_data = DATA.contains(&name.as_str());
            let tried = probes(document, name, property).into_iter().filter(|(_, is_taken)| !is_taken || !is_data);
            let mut values: Vec<_> = tried.map(|(value, is_taken)| (Some(value), is_taken)).collect();
            if required.contains(&json!(name)) {
                values.push((None, false));
            }
            for (value, is_taken) in values {
                let body = self.changed(route, &pointer, value.clone());
                let reply = self.ask(about.0, about.1, &[], Some(&body)).await;
                let value = value.unwrap_or_else(|| json!("nothing"));
                found.extend(judge(&format!("{route} {pointer}"), &value, is_taken, &pointer, &reply));
            }
            let items = resolved(document, &property["items"]);
            if items["type"] == "object" {
                found.extend(Box::pin(self.of_object(document, about, items, &format!("{pointer}/0"))).await);
                found.extend(self.of_length(about, property, &pointer).await);
            }
        }
        if schema["additionalProperties"] == false {
            let pointer = format!("{at}/no_such_field");
            let body = self.changed(route, &pointer, Some(json!(1)));
            let reply = self.ask(about.0, about.1, &[], Some(&body)).await;
            found.extend(judge(&format!("{route} {pointer}"), &json!(1), false, &pointer, &reply));
            let names = schema["properties"].as_object().into_iter().flat_map(serde_json::Map::keys);
            let described: BTreeSet<_> = names.map(String::as_str).collect();
            found.extend(self.undescribed(&format!("{route} {at}"), &reply, &described));
        }
        found
    }

    /// The same of how many objects a list has.
    async fn of_length(&self, about: (&str, &Value), schema: &Value, pointer: &str) -> Vec<String> {
        let mut found = Vec::new();
        let Some(most) = schema["maxItems"].as_u64() else {
            return vec![format!("{} {pointer}: no maxItems", about.0)];
        };
        for (count, is_taken) in [(most, true), (most + 1, false)] {
            let mut one = self.body(about.0, pointer).pointer(&format!("{pointer}/0")).cloned().unwrap();
            // All of them have room in one body.
            one.as_object_mut().unwrap().remove("output_tokens");
            let different = |number: u64| {
                let mut other = one.clone();
                other["model"] = json!(format!("m{number}"));
                other
            };
            let body = self.changed(about.0, pointer, Some((0..count).map(different).collect()));
            let reply = self.ask(about.0, about.1, &[], Some(&body)).await;
            found.extend(judge(&format!("{} {pointer}", about.0), &json!(count), is_taken, pointer, &reply));
        }
        found
    }

    fn body(&self, route: &str, pointer: &str) -> Value {
        let is_of_merges = OF_MERGES.iter().any(|name| pointer == format!("/{name}"));
        let own = BODIES.iter().find(|(name, _)| *name == route).map(|(_, body)| *body);
        let text = match own {
            Some(body) => body,
            None if route == "POST /v1/backfills" && is_of_merges => MERGE,
            None if route == "POST /v1/backfills" && pointer == "/book" => REPRICE,
            None if route == "POST /v1/backfills" => IMPORT,
            None => TABLE.iter().find(|(name, ..)| *name == route).unwrap().1,
        };
        let text = text.replace("$user", &self.ann.user_id.to_string());
        let text = text.replace("$device", &self.laptop.device_id.to_string()).replace("$caller", "somebody");
        serde_json::from_str(&text).unwrap()
    }

    /// The route's body with another value at a place, or without it.
    fn changed(&self, route: &str, pointer: &str, value: Option<Value>) -> Value {
        let mut body = self.body(route, pointer);
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let members = body.pointer_mut(parent).and_then(Value::as_object_mut);
        let members = members.unwrap_or_else(|| panic!("{route} has no {parent}"));
        match value {
            Some(value) => members.insert(name.to_owned(), value),
            None => members.remove(name),
        };
        body
    }

    async fn ask(&self, route: &str, operation: &Value, query: &[(&str, &Value)], body: Option<&Value>) -> Reply {
        self.tried.set(self.tried.get() + 1);
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{device_id}", DEVICE).replace("{job_id}", DEVICE).replace("{name}", "retention");
        let mut address = url::Url::parse(&format!("{}{path}", self.app.url)).unwrap();
        for (name, value) in query {
            for value in value.as_array().map_or(std::slice::from_ref(*value), Vec::as_slice) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                // A comma would divide a value.
                address.query_pairs_mut().append_pair(name, &text);
            }
        }
        for (_, _, beside) in
            BESIDE.iter().filter(|(of, name, _)| *of == route && query.iter().any(|(one, _)| one == name))
        {
            let (name, value) = beside.split_once('=').unwrap();
            address.query_pairs_mut().append_pair(name, value);
        }
        let path = &address.as_str()[self.app.url.len()..];
        let mut request = self.app.request(Method::from_bytes(method.as_bytes()).unwrap(), path);
        let kind = operation["security"][0].as_object().and_then(|kinds| kinds.keys().next_back());
        // Operators may plan everything.
        let is_for_operators =
            operation["security"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| !kind["operator"].is_null()));
        match kind.map(String::as_str) {
            _ if is_for_operators => request = request.bearer(&self.ann.operator),
            Some("device") => request = request.bearer(&self.laptop.token),
            Some("viewer") => request = request.bearer(&self.ann.viewer),
            _ => {}
        }
        if query.iter().any(|(name, _)| *name == "csv") {
            request = request.header("accept", "text/csv");
        }
        if route == "POST /v1/backfills" {
            request = request.header("idempotency-key", &format!("probe {}", self.tried.get()));
            if body.is_none() {
                request = request.header("content-type", "application/x-ndjson");
            }
        }
        match body {
            Some(body) => request.json(body).send().await,
            None => request.send().await,
        }
    }
}

/// What is wrong with an answer to a value that is to be taken, or to be refused.
fn judge(what: &str, value: &Value, is_taken: bool, pointer: &str, reply: &Reply) -> Option<String> {
    let mut told = reply.json["errors"].as_array().into_iter().flatten().filter_map(|error| error["pointer"].as_str());
    let names_it = told.any(|told| told == pointer || told.starts_with(&format!("{pointer}/")));
    let is_refused = [413, 414].contains(&reply.status) || [400, 422].contains(&reply.status) && names_it;
    // A list that is not too long may still be too long for a query.
    let is_wrong = is_refused == is_taken && !(is_taken && reply.status == 414) || reply.status >= 500;
    let word = if is_taken { "taken" } else { "refused" };
    let value: String = value.to_string().chars().take(80).collect();
    is_wrong.then(|| format!("{what}: {value} is not {word}: {} {}", reply.status, reply.json["errors"]))
}

/// Whether a schema bounds what is sent.
fn is_bounded(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    let has = |names: &[&str]| names.iter().all(|name| !schema[*name].is_null());
    match schema["type"].as_str() {
        Some("integer") => has(&["minimum", "maximum"]),
        Some("array") => has(&["maxItems"]) && is_bounded(document, &schema["items"]),
        Some("string") => has(&["enum"]) || has(&["format"]) || has(&["maxLength"]),
        Some("boolean") => true,
        Some("object") => {
            let mut properties = schema["properties"].as_object().into_iter().flatten();
            schema["additionalProperties"] == false && properties.all(|(_, property)| is_bounded(document, property))
        }
        _ => schema["anyOf"].as_array().is_some_and(|choices| choices.iter().all(|one| is_bounded(document, one))),
    }
}

fn is_own(operation: &Value) -> bool {
    !FOREIGN_TAGS.iter().any(|tag| operation["tags"][0] == *tag)
}

#[tokio::test]
async fn every_bound_of_the_contract_is_the_servers() {
    let prober = Prober::new().await;
    let document = document(&prober.app).await;
    let mut found = Vec::new();
    for (route, operation) in operations(&document).iter().filter(|(_, operation)| is_own(operation)) {
        found.extend(prober.differences(&document, route, operation).await);
    }
    assert_eq!(found, Vec::<String>::new());
    assert!(prober.tried.get() > 500, "only {} values were tried", prober.tried.get());
    assert!(prober.known.get() > 50, "only {} names are known", prober.known.get());

    // A bound that drifts is caught on either side.
    let parameter = |path: &str, name: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let place = parameters.iter().position(|parameter| parameter["name"] == name).unwrap();
        format!("/paths/{}/get/parameters/{place}/schema", path.replace('/', "~1"))
    };
    let bucket = "/components/schemas/PostedBucket/properties".to_owned();
    for (place, planted) in [
        (parameter("/v1/rollups", "limit") + "/maximum", json!(1001)),
        (parameter("/v1/rollups", "limit") + "/maximum", json!(999)),
        (parameter("/v1/rollups", "limit") + "/minimum", json!(0)),
        (parameter("/v1/rollups", "width") + "/enum/0", json!("minute")),
        (parameter("/v1/rollups", "device") + "/maxItems", json!(101)),
        (bucket.clone() + "/model/maxLength", json!(257)),
        (bucket.clone() + "/output_tokens/maximum", json!(999_999_999_999_u64)),
        ("/components/schemas/PostedBuckets/properties/buckets/maxItems".to_owned(), json!(501)),
        // A parameter that is called otherwise: the server has one that is not described.
        (parameter("/v1/rollups", "fill").replace("/schema", "/name"), json!("filled")),
        ("/components/schemas/PostedBucket/required/0".to_owned(), json!("retracts")),
    ] {
        let mut drifted = document.clone();
        *drifted.pointer_mut(&place).unwrap_or_else(|| panic!("there is no {place}")) = planted.clone();
        let route = if place.starts_with("/paths") { "GET /v1/rollups" } else { "POST /v1/buckets" };
        let operations = operations(&drifted);
        let (_, operation) = operations.iter().find(|(name, _)| name == route).unwrap();
        let found = prober.differences(&drifted, route, operation).await;
        assert_ne!(found, Vec::<String>::new(), "{place} with {planted}");
    }
}

#[tokio::test]
async fn nothing_that_is_sent_is_without_a_bound() {
    let document = document(&TestApp::start().await).await;
    let mut found = Vec::new();
    for (route, operation) in operations(&document).iter().filter(|(_, operation)| is_own(operation)) {
        for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] != "header") {
            let what = format!("{route} ?{}", parameter["name"].as_str().unwrap());
            if !is_bounded(&document, &parameter["schema"]) && !WITHOUT_BOUND.contains(&what.as_str()) {
                found.push(what);
            }
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if !schema.is_null() && !is_bounded(&document, schema) {
            found.push(format!("{route}: its body"));
        }
    }
    assert_eq!(found, Vec::<String>::new());
    for bare in
        [json!({"type": "string"}), json!({"type": "integer", "minimum": 1}), json!({"type": "object"}), json!({})]
    {
        assert!(!is_bounded(&document, &bare), "{bare}");
    }
}
