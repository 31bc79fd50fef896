//! How the clients of other products are told of what went wrong: every route of theirs, with every refusal that it has, and
//! whatever is asked beneath their paths. Their clients read `error` and `message`, and the beginning of a body.

use std::collections::BTreeSet;
use std::time::Duration;

use halfhour::config::Limits;
use halfhour::kernel::operations::switches::Switch;
use reqwest::Method;

use crate::support::{Proxy, Reply, Request, TestApp, TestDevice, TestUser};
use crate::walk::operations;

/// How the paths of these products begin.
const PATHS: [&str; 4] = ["/functions/vibeusage-", "/functions/vibescore-", "/functions/tokentracker-", "/api/usage"];

/// Posts whose body nobody reads.
const UNREAD: [&str; 3] = ["vibeusage-sync-ping", "vibescore-sync-ping", "tokentracker-telemetry"];

/// One of their routes.
#[derive(Clone, Debug)]
struct Route {
    method: Method,
    path: String,
    reads_body: bool,
    needs_token: bool,
}

/// All of them.
async fn routes(app: &TestApp) -> Vec<Route> {
    let contract = app.request(Method::GET, "/openapi.json").send().await.json;
    let routes = operations(&contract).into_iter().filter_map(|(route, operation)| {
        let (method, path) = route.split_once(' ').unwrap();
        let is_theirs = PATHS.iter().any(|begins| path.starts_with(begins));
        is_theirs.then(|| Route {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            reads_body: method == "POST" && !UNREAD.iter().any(|unread| path.ends_with(unread)),
            needs_token: operation["security"][0].as_object().is_some_and(|kinds| !kinds.is_empty()),
        })
    });
    let routes: Vec<_> = routes.collect();
    assert!(routes.len() >= 40, "{} routes", routes.len());
    routes
}

struct World {
    app: TestApp,
    ann: TestUser,
    laptop: TestDevice,
}

impl World {
    async fn with_limits(limits: Limits) -> Self {
        let app = TestApp::start_with(|settings| settings.limits = limits).await;
        let ann = app.user("ann", "UTC").await;
        let laptop = app.device(&ann, "laptop").await;
        Self { app, ann, laptop }
    }

    /// A request as its client makes it, with the token of whoever may.
    fn request(&self, route: &Route) -> Request {
        let is_devices = ["-ingest", "-sync-ping", "/api/usage"].iter().any(|part| route.path.contains(part));
        let request = self.app.request(route.method.clone(), &route.path);
        let token = if is_devices { &self.laptop.token } else { &self.ann.viewer };
        if route.needs_token { request.bearer(token) } else { request }
    }
}

fn with_body(request: Request, body: impl Into<Vec<u8>>) -> Request {
    request.header("content-type", "application/json").body(body)
}

/// Whether a refusal is what these clients read, and a whole problem.
#[track_caller]
fn assert_told(reply: &Reply, status: u16, code: &str, what: &str) {
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(text.starts_with(&format!(r#"{{"error":"{code}","message":""#)), "{what}: {} {text}", reply.status);
    reply.expect_problem(status, code);
    assert!(reply.json["message"].as_str().is_some_and(|message| !message.is_empty()), "{what}: {text}");
    assert!(reply.json["nextActions"].is_string(), "{what}: {text}");
    let details = reply.json["errors"].as_array().map_or(0, Vec::len);
    assert_eq!(reply.json["details"].as_array().map_or(0, Vec::len), details, "{what}: {text}");
}

#[tokio::test]
async fn every_route_tells_every_refusal_in_the_words_that_its_clients_read() {
    let world = World::with_limits(Limits::OFF).await;
    let (app, ann) = (&world.app, &world.ann);
    for route in &routes(app).await {
        let Route { method, path, .. } = route;
        let what = format!("{method} {path}");
        let ask = || app.request(method.clone(), path);
        if route.needs_token {
            assert_told(&ask().send().await, 401, "unauthorized", &what);
            assert_told(&ask().bearer("hhd_nobody").send().await, 401, "unauthorized", &what);
            let other = with_body(ask().bearer(&ann.operator), "{}").send().await;
            assert_told(&other, 403, "wrong_principal", &what);
        }
        for method in [Method::PATCH, Method::OPTIONS] {
            let none = world.request(&Route { method, ..route.clone() }).send().await;
            assert_told(&none, 405, "method_not_allowed", &what);
            assert_ne!(none.header("allow"), "", "{what}");
        }
        let keyed = with_body(world.request(route).header("idempotency-key", "k"), "{}").send().await;
        assert_told(&keyed, 400, "malformed", &what);
        for beneath in [format!("{path}-nothing"), format!("{path}/"), format!("/{path}"), format!("{path}/nothing")] {
            let nothing = app.request(method.clone(), &beneath).send().await;
            assert_told(&nothing, 404, "not_found", &beneath);
        }
        if route.reads_body {
            let text = world.request(route).header("content-type", "text/plain").body("{}").send().await;
            assert_told(&text, 415, "unsupported_media_type", &what);
            let coded = with_body(world.request(route).header("content-encoding", "br"), "{}").send().await;
            assert_told(&coded, 415, "unsupported_media_type", &what);
            assert_told(&with_body(world.request(route), "{").send().await, 400, "malformed", &what);
            let large = with_body(world.request(route), vec![b' '; 1024 * 1024 + 1]).send().await;
            assert_told(&large, 413, "batch_too_large", &what);
        }
    }
}

#[tokio::test]
async fn queries_that_cannot_be_read_are_told_so_and_so_is_what_is_asked_where_nothing_is() {
    let world = World::with_limits(Limits::OFF).await;
    let mut codes = BTreeSet::new();
    for route in routes(&world.app).await.into_iter().filter(|route| route.method == Method::GET) {
        for query in ["a=%FF", "debug=1", "tz=Nowhere", "from=x&to=y"] {
            let path = format!("{}?{query}", route.path);
            let reply = world.request(&Route { path: path.clone(), ..route.clone() }).send().await;
            if reply.status != 200 {
                let code = reply.json["code"].as_str().unwrap().to_owned();
                assert_told(&reply, if code == "invalid" { 422 } else { 400 }, &code, &path);
                codes.insert((code, route.path.clone()));
            }
        }
    }
    // Of each dashboard's six reads, and of both names of one.
    for code in ["invalid", "malformed"] {
        assert!(codes.iter().filter(|(told, _)| told == code).count() >= 3 * 6, "{codes:?}");
    }
    for (method, path) in [
        (Method::POST, "/api/auth/sessions"),
        (Method::POST, "/api/auth/refresh"),
        (Method::GET, "/api/functions/vibeusage-usage-summary"),
        (Method::GET, "/api/local-auth"),
        (Method::GET, "/functions/vibeusage-leaderboard"),
        (Method::GET, "/functions/vibeusage%2Dusage-summary"),
    ] {
        let nothing = world.app.request(method, path).send().await;
        assert_told(&nothing, 404, "not_found", path);
    }
    let own = world.app.request(Method::GET, "/v1/nothing").send().await;
    assert!(own.expect_problem(404, "not_found").get("error").is_none(), "{}", own.json);
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_by_the_status_that_the_client_waits_after() {
    let world = World::with_limits(Limits { anonymous: 1, device: 1, viewer: 1, ..Limits::OFF }).await;
    let routes = routes(&world.app).await;
    let mut refused = 0;
    for route in [&routes, &routes].into_iter().flatten() {
        let reply = with_body(world.request(route), "{}").send().await;
        let waits_after = if route.path.starts_with("/api/usage") { 503 } else { 429 };
        if reply.json["code"] == "rate_limited" {
            assert_told(&reply, waits_after, "rate_limited", &route.path);
            assert_ne!(reply.header("retry-after"), "", "{}", route.path);
            refused += 1;
        }
    }
    assert!(refused >= routes.len(), "{refused} of {}", 2 * routes.len());
}

#[tokio::test]
async fn passing_faults_are_503_whatever_they_are_elsewhere() {
    let world = World::with_limits(Limits::OFF).await;
    world.app.switches().set(Switch::Ingest, false);
    let routes = routes(&world.app).await;
    for route in routes.iter().filter(|route| route.path.ends_with("ingest") && route.method == Method::POST) {
        let off = with_body(world.request(route), "{}").send().await;
        assert_told(&off, 503, "switched_off", &route.path);
    }
    let proxy = Proxy::before_database_of(&world.app);
    let deadline = Duration::from_secs(1);
    let server = world.app.second_server_through_with(&proxy, |settings| settings.request_deadline = deadline).await;
    proxy.silence(true);
    for (path, token) in [
        ("/functions/vibeusage-usage-summary", &world.ann.viewer),
        ("/functions/tokentracker-usage-daily", &world.ann.viewer),
        ("/api/usage/settings", &world.laptop.token),
    ] {
        let silent = server.get(token, path).await;
        let code = silent.json["code"].as_str().unwrap().to_owned();
        assert!(["deadline_exceeded", "database_unavailable"].contains(&code.as_str()), "{}", silent.json);
        assert_told(&silent, 503, &code, path);
    }
    proxy.silence(false);
}

#[tokio::test]
async fn a_page_of_a_listed_origin_can_read_what_it_is_refused() {
    const ORIGIN: &str = "https://dashboard.example";
    let app = TestApp::start_with(|settings| settings.cors_origins = vec![ORIGIN.parse().unwrap()]).await;
    for path in ["/functions/vibescore-usage-daily", "/functions/tokentracker-usage-daily"] {
        for (method, path, status, code) in [
            (Method::GET, path.to_owned(), 401, "unauthorized"),
            (Method::DELETE, path.to_owned(), 401, "unauthorized"),
            (Method::GET, format!("{path}-nothing"), 404, "not_found"),
        ] {
            let refused = app.request(method, &path).header("origin", ORIGIN).send().await;
            assert_told(&refused, status, code, &path);
            assert_eq!(refused.header("access-control-allow-origin"), ORIGIN);
        }
        // What is no question before a request is a method that the path does not have.
        let unasked = app.request(Method::OPTIONS, path).header("origin", "https://evil.example").send().await;
        assert_eq!((unasked.status, unasked.header("access-control-allow-origin")), (204, ""));
    }
}
