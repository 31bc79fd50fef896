//! `Idempotency-Key` on every route that changes something: one table of requests, which must name all such routes of the
//! contract, and laws over it.

mod laws;
mod plans;
mod scopes;
mod secrets;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Reply, TestApp, TestDevice, TestUser};

/// What a route says whose clients are of another product.
const FOREIGN: &str = "the clients of this protocol know none";

/// Routes that refuse one, each with what its refusal says: the key is a field of the body, or nobody knows the header.
const WITHOUT_KEY: [(&str, &str); 23] = [
    ("POST /v1/link-codes/exchange", "`request_id` in its body is one"),
    ("POST /api/usage/ingest", FOREIGN),
    ("DELETE /api/usage/ingest", FOREIGN),
    ("POST /api/usage/device/code", FOREIGN),
    ("POST /api/usage/device/poll", FOREIGN),
    ("POST /functions/vibeusage-ingest", FOREIGN),
    ("POST /functions/vibeusage-sync-ping", FOREIGN),
    ("POST /functions/vibeusage-device-token-issue", FOREIGN),
    ("POST /functions/vibeusage-link-code-exchange", FOREIGN),
    ("POST /functions/vibescore-ingest", FOREIGN),
    ("POST /functions/vibescore-sync-ping", FOREIGN),
    ("POST /functions/vibescore-device-token-issue", FOREIGN),
    ("POST /functions/vibescore-link-code-exchange", FOREIGN),
    ("POST /functions/tokentracker-ingest", FOREIGN),
    ("POST /functions/tokentracker-device-token-issue", FOREIGN),
    ("POST /functions/tokentracker-device-flow-authorize", FOREIGN),
    ("POST /functions/tokentracker-device-flow-poll", FOREIGN),
    ("POST /functions/tokentracker-telemetry", FOREIGN),
    ("POST /functions/vibeusage-link-code-init", "no Idempotency-Key"),
    ("POST /functions/vibescore-link-code-init", "no Idempotency-Key"),
    ("POST /v1/logs", "counted once"),
    ("POST /v1/metrics", "counted once"),
    ("POST /v1/traces", "counted once"),
];

/// The route that is done once by nature, and records nothing: nothing of its caller stays.
const ONCE_BY_NATURE: &str = "DELETE /v1/me";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Device,
    Viewer,
    Operator,
}

/// A request that changes something, another one of the same route, and what is counted of its effect.
#[derive(Clone, Copy, Debug)]
struct Case {
    route: &'static str,
    who: Who,
    /// The body; empty for none.
    body: &'static str,
    /// Of another request; where the first has none, this is a body too.
    other: &'static str,
    status: u16,
    /// The act in the audit, or a table.
    effect: &'static str,
}

const fn case(
    route: &'static str,
    who: Who,
    (body, other): (&'static str, &'static str),
    status: u16,
    effect: &'static str,
) -> Case {
    Case { route, who, body, other, status, effect }
}

const REPLAY: &str = r#"{"action":"replay","reason":"x","from":"2026-11-01","to":"2026-11-02"}"#;
const OTHER_REPLAY: &str = r#"{"action":"replay","reason":"y","from":"2026-11-01","to":"2026-11-02"}"#;
const POST: &str =
    r#"{"buckets":[{"hour_start":"2026-11-20T10:30:00Z","source":"codex","model":"m","input_tokens":1}]}"#;
const OTHER_POST: &str =
    r#"{"buckets":[{"hour_start":"2026-11-20T10:30:00Z","source":"codex","model":"m","input_tokens":2}]}"#;

const BOOK: &str = r#"{"dated":"2026-11-20","reason":"x","csv":"provider,model_pattern,input_per_mtok_usd,source\nopenai,gpt-5,1.25,page\n"}"#;
const OTHER_BOOK: &str = r#"{"dated":"2026-11-20","reason":"y","csv":"provider,model_pattern,input_per_mtok_usd,source\nopenai,gpt-5,1.25,page\n"}"#;

/// Codes that devices may show whose server has the tests' key.
const APPROVAL: &str = r#"{"code":"PA1R-ED0N-E13T"}"#;
const OTHER_APPROVAL: &str = r#"{"code":"PA1R-ED2W-YX8Y"}"#;

/// Every route that changes something.
const CASES: [Case; 18] = [
    case("POST /v1/buckets", Who::Device, (POST, OTHER_POST), 200, "usage.outbox"),
    case(
        "PATCH /v1/me",
        Who::Viewer,
        (r#"{"time_zone":"Europe/Berlin"}"#, r#"{"time_zone":"Europe/Rome"}"#),
        200,
        "user.zone",
    ),
    case("DELETE /v1/me/usage", Who::Viewer, ("", "x"), 200, "usage.erase"),
    case("POST /v1/devices", Who::Viewer, (r#"{"name":"tablet"}"#, r#"{"name":"tablets"}"#), 201, "device.add"),
    case(
        "PATCH /v1/devices/{device_id}",
        Who::Viewer,
        (r#"{"name":"pad"}"#, r#"{"name":"pads"}"#),
        200,
        "device.rename",
    ),
    case("POST /v1/devices/{device_id}/revoke", Who::Viewer, ("", "x"), 200, "device.revoke"),
    case("POST /v1/devices/{device_id}/rotate", Who::Viewer, ("", "{}"), 201, "device.rotate"),
    case("POST /v1/link-codes", Who::Viewer, ("", "x"), 201, "link_code.add"),
    case("POST /v1/pairings", Who::Viewer, (APPROVAL, OTHER_APPROVAL), 201, "pairing.approve"),
    case("POST /v1/users", Who::Operator, (r#"{"name":"carl"}"#, r#"{"name":"carla"}"#), 201, "user.add"),
    case(
        "PUT /v1/switches/{name}",
        Who::Operator,
        (r#"{"is_on":true,"reason":"x"}"#, r#"{"is_on":true,"reason":"y"}"#),
        200,
        "switch.set",
    ),
    case(
        "POST /v1/sources",
        Who::Operator,
        (r#"{"name":"windsurf-of-mine"}"#, r#"{"name":"windsurf-of-others"}"#),
        201,
        "source.add",
    ),
    case("POST /v1/sources/{name}/retire", Who::Operator, ("", "x"), 200, "source.retire"),
    case("POST /v1/price-books", Who::Operator, (BOOK, OTHER_BOOK), 201, "price.import"),
    case("POST /v1/backfills", Who::Operator, (REPLAY, OTHER_REPLAY), 201, "backfill.plan"),
    case("POST /v1/backfills/{job_id}/execute", Who::Operator, ("", "x"), 200, "backfill.execute"),
    case("POST /v1/backfills/{job_id}/cancel", Who::Operator, ("", "x"), 200, "backfill.cancel"),
    case("POST /v1/backfills/{job_id}/rollback", Who::Operator, ("", "x"), 200, "backfill.rollback"),
];

/// A server, a second one on the same database, and somebody of each kind.
struct World {
    app: TestApp,
    second: TestApp,
    ann: TestUser,
    laptop: TestDevice,
    spare: TestDevice,
}

/// Where a request goes, with the version that it has read.
#[derive(Clone, Debug)]
struct Target {
    path: String,
    version: Option<String>,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let second = app.second_server().await;
        let ann = app.user("ann", "UTC").await;
        let (laptop, spare) = (app.device(&ann, "laptop").await, app.device(&ann, "spare").await);
        Self { app, second, ann, laptop, spare }
    }

    fn token(&self, who: Who) -> &str {
        match who {
            Who::Device => &self.laptop.token,
            Who::Viewer => &self.ann.viewer,
            Who::Operator => &self.ann.operator,
        }
    }

    /// What the route's path needs is made.
    async fn target(&self, case: Case) -> Target {
        let (_, path) = case.route.split_once(' ').unwrap();
        let device = match case.effect {
            "device.revoke" => self.app.device(&self.ann, &Uuid::now_v7().to_string()).await.device_id,
            _ => self.spare.device_id,
        };
        let path = path.replace("{device_id}", &device.to_string());
        let name = if case.effect == "switch.set" { "ingest" } else { "codex" };
        let path = path.replace("{name}", name).replace("/v1/me/usage", "/v1/me/usage?everything=true");
        if !path.contains("{job_id}") {
            return Target { path, version: None };
        }
        let job = self.job(case).await;
        let path = path.replace("{job_id}", job["id"].as_str().unwrap());
        Target { path, version: Some(format!("\"{}\"", job["version"])) }
    }

    /// A job that can be treated so.
    async fn job(&self, case: Case) -> Value {
        let operator = &self.ann.operator;
        if case.effect != "backfill.rollback" {
            return self.app.planned(operator, &serde_json::from_str(REPLAY).unwrap()).await;
        }
        let bucket = crate::backfill::bucket(&self.ann, &self.laptop, "2026-11-19T10:30:00Z", "imported", 7);
        let planned = self.app.planned(operator, &crate::backfill::import(&[bucket])).await;
        self.app.executed(operator, &planned).await
    }

    async fn send(&self, app: &TestApp, case: Case, target: &Target, headers: &[(&str, &str)], body: &str) -> Reply {
        let (method, _) = case.route.split_once(' ').unwrap();
        let request = app.request(Method::from_bytes(method.as_bytes()).unwrap(), &target.path);
        let mut request = request.bearer(self.token(case.who));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(version) = &target.version {
            request = request.header("if-match", version);
        }
        if !body.is_empty() {
            request = request.header("content-type", "application/json").body(body);
        }
        request.send().await
    }

    /// How often it was done.
    async fn effects(&self, case: Case) -> u64 {
        let sql = if case.effect.starts_with("usage.") && case.effect != "usage.erase" {
            format!("select count(*)::text from {}", case.effect)
        } else {
            format!("select count(*)::text from ops.audit where action = '{}' and actor_kind <> 'command'", case.effect)
        };
        self.app.ask(&sql).await[0].parse().unwrap()
    }
}

/// Whether an answer says that it is of an earlier execution.
#[track_caller]
fn replayed(reply: &Reply) -> bool {
    match reply.header("idempotency-replayed") {
        "true" => true,
        "" => false,
        other => panic!("{other}"),
    }
}

/// Asserts that a reply is the first answer again.
#[track_caller]
fn assert_repeats(reply: &Reply, first: &Reply) {
    let text = |reply: &Reply| String::from_utf8_lossy(&reply.body).into_owned();
    assert_eq!((reply.status, text(reply)), (first.status, text(first)));
    for name in ["etag", "location", "content-type"] {
        assert_eq!(reply.header(name), first.header(name), "{name}");
    }
    assert!(replayed(reply), "{reply:?}");
    assert!(!first.header("cache-control").contains("no-store") || reply.header("cache-control") == "no-store");
}

/// `POST /v1/buckets` for every operation of the contract that changes something.
fn changing(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = ["post", "put", "patch", "delete"].into_iter();
        methods.filter_map(move |method| Some((format!("{} {path}", method.to_uppercase()), item.get(method)?)))
    });
    operations.collect()
}

/// What the contract and the table do not agree on.
fn gaps(document: &Value, cases: &[Case]) -> Vec<String> {
    let changing = changing(document);
    let mut gaps = Vec::new();
    for (route, operation) in &changing {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes_key = parameters.into_iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        let is_without = WITHOUT_KEY.iter().any(|(without, _)| *without == route);
        if takes_key == is_without {
            gaps.push(format!("{route}: Idempotency-Key is described {takes_key}"));
        }
        if route == ONCE_BY_NATURE {
            continue;
        }
        if !is_without && !cases.iter().any(|case| case.route == route) {
            gaps.push(format!("{route} has no row"));
        }
        for (status, answer) in operation["responses"].as_object().unwrap() {
            if takes_key && status.starts_with('2') && answer["headers"].get("Idempotency-Replayed").is_none() {
                gaps.push(format!("{route}: Idempotency-Replayed is not described"));
            }
        }
        let refusals = ["409", "422"].iter().filter(|status| operation["responses"].get(status).is_none());
        gaps.extend(refusals.filter(|_| takes_key).map(|status| format!("{route}: {status} is not described")));
    }
    let known = |case: &&Case| !changing.iter().any(|(route, _)| route == case.route);
    gaps.extend(cases.iter().filter(known).map(|case| format!("{} is no route", case.route)));
    gaps
}

#[tokio::test]
async fn every_route_that_changes_something_takes_a_key_and_has_a_row_here() {
    let app = TestApp::start().await;
    let document = app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone();
    assert_eq!(gaps(&document, &CASES), Vec::<String>::new());
}

#[test]
fn a_route_without_a_key_or_a_row_is_caught() {
    let bare = json!({"responses": {"200": {"headers": {}}, "409": {}}});
    let keyed = json!({"parameters": [{"name": "Idempotency-Key"}], "responses": {"200": {"headers": {}}, "409": {}}});
    let document = json!({"paths": {"/v1/new": {"put": bare, "get": {}}, "/v1/me": {"patch": keyed}}});
    let found = gaps(&document, &CASES[..2]);
    let expected = [
        "PATCH /v1/me: Idempotency-Replayed is not described",
        "PATCH /v1/me: 422 is not described",
        "PUT /v1/new: Idempotency-Key is described false",
        "PUT /v1/new has no row",
        "POST /v1/buckets is no route",
    ];
    assert_eq!(found, expected);
}
