//! Who may call what: every registered route, asked by everyone, compared with one table. A route without a row fails.

use std::collections::BTreeSet;

use halfhour::kernel::access::{Actor, TokenKind};
use reqwest::Method;
use serde_json::{Value, json};

use crate::dashboard_page::Browser;
use crate::support::{TestApp, TestUser, context};

/// Who asks, in the order of the columns. "revoked" and "another's" are of the kind that the route is for; for a route
/// without an id, another's is as good as one's own.
const CALLERS: [&str; 7] = ["nobody", "garbage", "a device", "a viewer", "an operator", "revoked", "another's"];

const EVERYONE: [u16; 7] = [200; 7];
const DEVICES: [u16; 7] = [401, 401, 200, 403, 403, 401, 200];
const VIEWERS: [u16; 7] = [401, 401, 403, 200, 403, 401, 200];
const VIEWERS_CREATE: [u16; 7] = [401, 401, 403, 201, 403, 401, 201];
const OPERATORS: [u16; 7] = [401, 401, 403, 403, 200, 401, 200];
const OPERATORS_CREATE: [u16; 7] = [401, 401, 403, 403, 201, 401, 201];

const VIEWERS_AND_OPERATORS: [u16; 7] = [401, 401, 403, 200, 200, 401, 200];
const NO_SUCH_JOB: [u16; 7] = [401, 401, 403, 404, 404, 401, 404];
const NO_VERSION: [u16; 7] = [401, 401, 403, 428, 428, 401, 428];

/// A route, what is sent to it (`$caller` differs in each column), and what each caller is answered.
pub type Row = (&'static str, &'static str, [u16; 7]);

pub const TABLE: &[Row] = &[
    ("POST /v1/buckets", r#"{"buckets":[]}"#, DEVICES),
    ("POST /v1/logs", r#"{"resourceLogs":[]}"#, DEVICES),
    ("POST /v1/metrics", r#"{"resourceMetrics":[]}"#, DEVICES),
    ("POST /v1/traces", r#"{"resourceSpans":[]}"#, DEVICES),
    ("GET /v1/buckets", "", VIEWERS),
    ("GET /v1/rollups", "", VIEWERS),
    ("GET /v1/rollups/summary", "", VIEWERS),
    ("GET /v1/rollups/cost", "", VIEWERS),
    ("GET /v1/rollups/heatmap", "", VIEWERS),
    ("GET /v1/me", "", VIEWERS),
    ("PATCH /v1/me", r#"{"time_zone":"Europe/Berlin"}"#, VIEWERS),
    // Once somebody is erased, there is nobody to ask: so this one is only looked at.
    ("DELETE /v1/me?dry_run=true", "", VIEWERS),
    ("DELETE /v1/me/usage?everything=true", "", VIEWERS),
    ("GET /v1/devices", "", VIEWERS),
    ("POST /v1/devices", r#"{"name":"tablet"}"#, VIEWERS_CREATE),
    ("PATCH /v1/devices/{device_id}", r#"{"name":"renamed by $caller"}"#, [401, 401, 403, 200, 403, 401, 404]),
    ("POST /v1/devices/{device_id}/revoke", "", [401, 401, 403, 200, 403, 401, 404]),
    ("POST /v1/devices/{device_id}/rotate", "", [401, 401, 403, 201, 403, 401, 404]),
    ("POST /v1/link-codes", "", VIEWERS_CREATE),
    // The code is the secret, and nobody here has one.
    (
        "POST /v1/link-codes/exchange",
        r#"{"code":"AAAA-AAAA-AAAA","request_id":"01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2","device_name":"x"}"#,
        [422; 7],
    ),
    // Dashboards of other products.
    ("GET /functions/vibeusage-usage-summary", "", VIEWERS),
    ("GET /functions/vibeusage-usage-daily", "", VIEWERS),
    ("GET /functions/vibeusage-usage-hourly", "", VIEWERS),
    ("GET /functions/vibeusage-usage-monthly", "", VIEWERS),
    ("GET /functions/vibeusage-usage-heatmap", "", VIEWERS),
    ("GET /functions/vibeusage-usage-model-breakdown", "", VIEWERS),
    ("POST /functions/vibeusage-link-code-init", "{}", VIEWERS),
    ("GET /functions/vibescore-usage-summary", "", VIEWERS),
    ("GET /functions/vibescore-usage-daily", "", VIEWERS),
    ("GET /functions/vibescore-usage-hourly", "", VIEWERS),
    ("GET /functions/vibescore-usage-monthly", "", VIEWERS),
    ("GET /functions/vibescore-usage-heatmap", "", VIEWERS),
    ("GET /functions/vibescore-usage-model-breakdown", "", VIEWERS),
    ("POST /functions/vibescore-link-code-init", "{}", VIEWERS),
    ("GET /functions/tokentracker-usage-summary", "", VIEWERS),
    ("GET /functions/tokentracker-usage-daily", "", VIEWERS),
    ("GET /functions/tokentracker-usage-hourly", "", VIEWERS),
    ("GET /functions/tokentracker-usage-monthly", "", VIEWERS),
    ("GET /functions/tokentracker-usage-heatmap", "", VIEWERS),
    ("GET /functions/tokentracker-usage-model-breakdown", "", VIEWERS),
    ("GET /functions/tokentracker-user-status", "", VIEWERS),
    ("GET /functions/tokentracker-usage-limits", "", VIEWERS),
    ("GET /functions/tokentracker-telemetry-pref", "", VIEWERS),
    ("GET /functions/tokentracker-project-usage-summary", "", VIEWERS),
    ("GET /v1/users", "", OPERATORS),
    ("POST /v1/users", r#"{"name":"$caller"}"#, OPERATORS_CREATE),
    ("GET /v1/status", "", OPERATORS),
    ("GET /metrics", "", OPERATORS),
    ("GET /v1/switches", "", OPERATORS),
    ("GET /v1/switches/{name}", "", OPERATORS),
    ("PUT /v1/switches/{name}", r#"{"is_on":true,"reason":"x"}"#, OPERATORS),
    ("GET /v1/sources", "", [401, 401, 200, 200, 200, 401, 200]),
    ("GET /v1/prices?source=codex&model=gpt-5", "", [401, 401, 200, 200, 200, 401, 200]),
    ("GET /v1/price-books", "", [401, 401, 200, 200, 200, 401, 200]),
    (
        "POST /v1/price-books",
        r#"{"dated":"2026-11-20","reason":"x","csv":"provider,model_pattern,input_per_mtok_usd,source\nopenai,gpt-5,1,page\n"}"#,
        [401, 401, 403, 403, 201, 401, 200],
    ),
    ("POST /v1/sources", r#"{"name":"codex"}"#, OPERATORS),
    // What stands for a name in these paths is no tool.
    ("POST /v1/sources/{name}/retire", "", [401, 401, 403, 403, 404, 401, 404]),
    ("GET /v1/backfills", "", VIEWERS_AND_OPERATORS),
    // Operators see all jobs, viewers their merges; there are none here, and an empty plan is none.
    ("POST /v1/backfills", "{}", [401, 401, 403, 422, 422, 401, 422]),
    ("GET /v1/backfills/{job_id}", "", NO_SUCH_JOB),
    ("GET /v1/backfills/{job_id}/rows", "", NO_SUCH_JOB),
    ("GET /v1/backfills/{job_id}/exceptions", "", NO_SUCH_JOB),
    ("POST /v1/backfills/{job_id}/execute", "", NO_VERSION),
    ("POST /v1/backfills/{job_id}/cancel", "", NO_VERSION),
    ("POST /v1/backfills/{job_id}/rollback", "", NO_VERSION),
    // Nobody shows that code.
    ("POST /v1/pairings", r#"{"code":"AAAA-AAAA-AAAA"}"#, [401, 401, 403, 422, 403, 401, 422]),
    ("GET /pair", "", EVERYONE),
    ("GET /api/usage/settings", "", DEVICES),
    ("POST /api/usage/ingest", r#"{"buckets":[]}"#, DEVICES),
    ("DELETE /api/usage/ingest", "", DEVICES),
    ("GET /api/usage", "", [401, 401, 200, 200, 403, 401, 200]),
    ("POST /api/usage/device/code", "{}", EVERYONE),
    ("POST /api/usage/device/poll", "{}", EVERYONE),
    ("POST /functions/vibeusage-ingest", r#"{"hourly":[]}"#, DEVICES),
    ("POST /functions/vibeusage-sync-ping", "{}", DEVICES),
    ("POST /functions/vibeusage-device-token-issue", r#"{"device_name":"$caller"}"#, VIEWERS),
    (
        "POST /functions/vibeusage-link-code-exchange",
        r#"{"link_code":"AAAA-AAAA-AAAA","request_id":"01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2"}"#,
        [422; 7],
    ),
    ("POST /functions/vibescore-ingest", r#"{"hourly":[]}"#, DEVICES),
    ("POST /functions/vibescore-sync-ping", "{}", DEVICES),
    ("POST /functions/vibescore-device-token-issue", r#"{"device_name":"$caller"}"#, VIEWERS),
    (
        "POST /functions/vibescore-link-code-exchange",
        r#"{"link_code":"AAAA-AAAA-AAAA","request_id":"01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2"}"#,
        [422; 7],
    ),
    ("POST /functions/tokentracker-ingest", r#"{"hourly":[]}"#, DEVICES),
    ("POST /functions/tokentracker-device-token-issue", r#"{"device_name":"$caller"}"#, VIEWERS),
    ("POST /functions/tokentracker-device-flow-authorize", "{}", EVERYONE),
    ("POST /functions/tokentracker-device-flow-poll", "{}", [422; 7]),
    ("POST /functions/tokentracker-telemetry", "{}", EVERYONE),
    ("GET /health/live", "", EVERYONE),
    ("GET /health/ready", "", EVERYONE),
    ("GET /health/startup", "", EVERYONE),
    ("GET /problems/{code}", "", EVERYONE),
    ("GET /openapi.json", "", EVERYONE),
    ("GET /docs/", "", EVERYONE),
];

/// Published by the composition root, and not part of their own contract.
const UNDESCRIBED: [&str; 2] = ["GET /openapi.json", "GET /docs/"];

/// `POST /v1/buckets` for every operation of a contract, and the two that publish it.
fn registered(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().keys().filter(|name| *name != "parameters");
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    described.chain(UNDESCRIBED.map(str::to_owned)).collect()
}

/// What only the routes or only the table have.
fn differences(registered: &BTreeSet<String>, table: &[Row]) -> Vec<String> {
    let rows: BTreeSet<String> =
        table.iter().map(|(route, ..)| route.split('?').next().unwrap_or_default().to_owned()).collect();
    let missing = registered.difference(&rows).map(|route| format!("{route} has no row"));
    missing.chain(rows.difference(registered).map(|route| format!("{route} is no route"))).collect()
}

/// Everyone who may ask.
struct Cast {
    app: TestApp,
    ann: TestUser,
    bob: TestUser,
    laptop: String,
    bobs_laptop: String,
    revoked: [String; 3],
}

impl Cast {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
        let (laptop, bobs_laptop) = (app.device(&ann, "laptop").await.token, app.device(&bob, "laptop").await.token);
        let mut revoked = Vec::new();
        for (kind, device) in
            [(TokenKind::Device, Some("laptop")), (TokenKind::Viewer, None), (TokenKind::Operator, None)]
        {
            let issued = app.accounts().issue_token(&context(), Actor::Command, "ann", kind, device).await.unwrap();
            assert!(app.accounts().tokens.revoke(&context(), Actor::Command, issued.token_id).await.unwrap());
            revoked.push(issued.token.reveal().to_owned());
        }
        Self { app, ann, bob, laptop, bobs_laptop, revoked: revoked.try_into().unwrap() }
    }

    /// The token that a caller shows at a route that is for `kind`.
    fn token(&self, caller: usize, kind: Option<TokenKind>) -> Option<&str> {
        let position = kind.map_or(0, |kind| kind as usize);
        let text = match CALLERS[caller] {
            "nobody" => return None,
            "garbage" => "hhv_garbage",
            "a device" => &self.laptop,
            "a viewer" => &self.ann.viewer,
            "an operator" => &self.ann.operator,
            "revoked" => &self.revoked[position],
            _ => [&self.bobs_laptop, &self.bob.viewer, &self.bob.operator][position],
        };
        Some(text)
    }

    /// `spare` is a device of Ann's, for paths.
    async fn ask(&self, caller: usize, (route, body, statuses): Row, spare: &str) -> u16 {
        let kind = (2..5).find(|caller| statuses[*caller] != 403).filter(|_| statuses[0] == 401);
        let kind = kind.map(|caller| [TokenKind::Device, TokenKind::Viewer, TokenKind::Operator][caller - 2]);
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{device_id}", spare).replace("{name}", "ingest").replace("{code}", "invalid");
        let path = path.replace("{job_id}", "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2");
        assert!(!path.contains('{'), "say what stands for the parameter of {path}");
        let mut request = self.app.request(Method::from_bytes(method.as_bytes()).unwrap(), &path);
        if let Some(token) = self.token(caller, kind) {
            request = request.bearer(token);
        }
        if !body.is_empty() {
            let body = body.replace("$caller", CALLERS[caller]);
            request = request.header("content-type", "application/json").body(body);
        }
        let reply = request.send().await;
        if reply.status >= 400 {
            assert_eq!(reply.json["status"], reply.status, "{route} for {}: {:?}", CALLERS[caller], reply.json);
        }
        reply.status
    }
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    let cast = Cast::new().await;
    let document = cast.app.request(Method::GET, "/openapi.json").send().await.expect_ok().clone();
    let registered = registered(&document);
    assert!(registered.len() > 20, "only {registered:?} were found");
    assert_eq!(differences(&registered, TABLE), Vec::<String>::new());
    let mut wrong = Vec::new();
    for row in TABLE {
        let spare = cast.app.device(&cast.ann, &format!("spare for {}", row.0)).await.device_id.to_string();
        // Whoever may do it comes last, for then it is done.
        let (may, may_not): (Vec<_>, Vec<_>) = (0..CALLERS.len()).partition(|caller| row.2[*caller] < 300);
        for caller in may_not.into_iter().chain(may) {
            let (expected, found) = (row.2[caller], cast.ask(caller, *row, &spare).await);
            if found != expected {
                wrong.push(format!("{} for {}: {found} and not {expected}", row.0, CALLERS[caller]));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Who asks for a page, in the order of the columns.
const READERS: [&str; 5] =
    ["nobody", "a viewer's bearer token", "a session", "a session that was ended", "another's session"];

const SESSIONS: [u16; 5] = [303, 303, 200, 303, 200];
const FORMS: [u16; 5] = [401, 401, 422, 401, 422];
const NOT_ONES_OWN: [u16; 5] = [401, 401, 404, 401, 404];
/// What is told wrong is told to whoever is let in.
const ONE_IS_TO_BE_NAMED: [u16; 5] = [303, 303, 422, 303, 422];

/// Operators' pages: a viewer is told that its session is none there.
const OPERATORS_ONLY: [u16; 5] = [303, 303, 403, 303, 403];
/// A form is held, whoever sends it.
const OPERATORS_FORM: [u16; 5] = [401; 5];

/// The pages: they are for people, and not in the contract.
const PAGES: &[(&str, [u16; 5])] = &[
    ("GET /", SESSIONS),
    ("GET /model", ONE_IS_TO_BE_NAMED),
    ("GET /tool", ONE_IS_TO_BE_NAMED),
    ("GET /device", ONE_IS_TO_BE_NAMED),
    ("GET /day", SESSIONS),
    ("GET /receipt", SESSIONS),
    ("GET /usage.csv", SESSIONS),
    ("GET /sign-in", [200; 5]),
    // Nobody shows a token or a code.
    ("POST /sign-in", [422; 5]),
    ("POST /sign-out", [401, 401, 303, 401, 303]),
    ("GET /settings", SESSIONS),
    // What these say is not acceptable, and a session that has ended is asked for first.
    ("POST /settings/zone", FORMS),
    ("POST /settings/devices", FORMS),
    ("POST /settings/devices/{device_id}/rename", FORMS),
    ("POST /settings/devices/{device_id}/rotate", NOT_ONES_OWN),
    ("POST /settings/devices/{device_id}/revoke", NOT_ONES_OWN),
    ("POST /settings/link-codes", [401, 401, 200, 401, 200]),
    ("POST /settings/tokens", FORMS),
    ("POST /settings/tokens/{token_id}/revoke", NOT_ONES_OWN),
    ("GET /settings/merges", SESSIONS),
    ("POST /settings/merges", FORMS),
    ("GET /settings/merges/{job_id}", [303, 303, 404, 303, 404]),
    // The page of a merge that is not one's own cannot be shown again with what is wrong with its form.
    ("POST /settings/merges/{job_id}/execute", NOT_ONES_OWN),
    ("POST /settings/merges/{job_id}/cancel", NOT_ONES_OWN),
    ("POST /settings/merges/{job_id}/rollback", NOT_ONES_OWN),
    ("GET /settings/usage", SESSIONS),
    ("POST /settings/usage", FORMS),
    ("GET /settings/erase", SESSIONS),
    ("POST /settings/erase", FORMS),
    // What operators are answered here, `operate::routes` says.
    ("GET /operate", OPERATORS_ONLY),
    ("GET /operate/sign-in", [200; 5]),
    ("POST /operate/sign-in", [422; 5]),
    ("POST /operate/sign-out", OPERATORS_FORM),
    ("POST /operate/switches/{name}", OPERATORS_FORM),
    ("GET /operate/users", OPERATORS_ONLY),
    ("GET /operate/prices", OPERATORS_ONLY),
    ("GET /operate/coverage", OPERATORS_ONLY),
    ("GET /operate/jobs", OPERATORS_ONLY),
    ("POST /operate/jobs", OPERATORS_FORM),
    ("GET /operate/jobs/{job_id}", OPERATORS_ONLY),
    ("GET /operate/jobs/{job_id}/exceptions", OPERATORS_ONLY),
    ("POST /operate/jobs/{job_id}/execute", OPERATORS_FORM),
    ("POST /operate/jobs/{job_id}/cancel", OPERATORS_FORM),
    ("POST /operate/jobs/{job_id}/rollback", OPERATORS_FORM),
    // No page loads a file of that name.
    ("GET /assets/{name}", [404; 5]),
];

#[tokio::test]
async fn every_page_answers_every_reader_as_the_table_says() {
    let app = TestApp::start_with(|settings| settings.token_memory = std::time::Duration::ZERO).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let mut ended = Browser::signed_in(&app, &ann).await;
    let cookie = ended.cookie().to_owned();
    ended.post("/sign-out", &[]).await.leads_to("/sign-in");
    let rows: BTreeSet<String> = PAGES.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert_eq!(rows, halfhour::app::page_routes());
    let mut wrong = Vec::new();
    for (route, statuses) in PAGES {
        for (reader, expected) in READERS.iter().zip(statuses) {
            let (method, path) = route.split_once(' ').unwrap();
            let mut browser = match *reader {
                "a session" => Browser::signed_in(&app, &ann).await,
                "another's session" => Browser::signed_in(&app, &bob).await,
                "a session that was ended" => ended.with_cookie(&cookie),
                "a viewer's bearer token" => Browser::new(&app).with_bearer(&ann.viewer),
                _ => Browser::new(&app),
            };
            let path = path.replace("{name}", "nothing.css");
            let id = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";
            let path = path.replace("{device_id}", id).replace("{token_id}", id).replace("{job_id}", id);
            let shown = if method == "GET" { browser.get(&path).await } else { browser.post(&path, &[]).await };
            if shown.status != *expected {
                wrong.push(format!("{route} for {reader}: {} and not {expected}", shown.status));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_route_without_a_row_and_a_row_without_a_route_are_caught() {
    let document = json!({"paths": {"/v1/new/{id}": {"get": {}, "parameters": []}, "/v1/buckets": {"post": {}}}});
    let table = [("POST /v1/buckets", "", DEVICES), ("GET /v1/old?x=1", "", VIEWERS)];
    let found = differences(&registered(&document), &table);
    let expected = [
        "GET /docs/ has no row",
        "GET /openapi.json has no row",
        "GET /v1/new/{id} has no row",
        "GET /v1/old is no route",
    ];
    assert_eq!(found, expected);
}
