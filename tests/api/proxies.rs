//! Behind proxies: what a caller of HTTP/1.0 gets is whole or refused, and what is served under a path leads there.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::routes::TABLE;
use crate::support::{PREFIX, TestApp, TestUser, WebProxy, line};
use crate::walk::{Walk, operations};

/// A reply of HTTP/1.0, read until the connection was closed.
struct Plain {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Plain {
    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Says `request`, without its version, over HTTP/1.0.
async fn say(app: &TestApp, request: &str, headers: &[(&str, &str)], body: &str) -> Plain {
    let mut stream = TcpStream::connect(app.url.strip_prefix("http://").unwrap()).await.unwrap();
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let text = format!("{request} HTTP/1.0\r\n{headers}\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let end = reply.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(reply[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Plain { status, head, body: reply[end + 4..].to_vec() }
}

async fn with_buckets() -> (TestApp, TestUser) {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let bucket = |model: usize| {
        json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": format!("m{model}"),
            "observed_at": "2026-11-20T10:52:00Z", "input_tokens": 1})
    };
    let buckets: Vec<_> = (0..400).map(bucket).collect();
    app.post_buckets(&laptop.token, &json!({"buckets": buckets})).await.expect_ok();
    (app, ann)
}

#[tokio::test]
async fn a_stream_over_http_1_0_is_refused_and_the_refusal_says_what_to_ask_for() {
    let (app, ann) = with_buckets().await;
    let bearer = format!("Bearer {}", ann.viewer);
    for (accept, encoding) in
        [("text/csv", "identity"), ("text/csv", "gzip, zstd"), ("application/x-ndjson", "identity"), ("text/*", "gzip")]
    {
        let request_id = Uuid::now_v7().to_string();
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Accept", accept),
            ("Accept-Encoding", encoding),
            ("X-Request-Id", &request_id),
        ];
        let reply = say(&app, "GET /v1/buckets", &headers, "").await;
        let problem = reply.json();
        assert_eq!((reply.status, &problem["code"]), (426, &json!("upgrade_required")), "{accept}: {problem}");
        assert_eq!(reply.header("upgrade"), Some("HTTP/1.1"));
        for told in ["`limit`", "`proxy_http_version 1.1;`"] {
            assert!(problem["detail"].as_str().unwrap().contains(told), "{problem}");
        }
        for of_the_stream in ["halfhour-as-of", "halfhour-version", "link", "content-encoding"] {
            assert_eq!(reply.header(of_the_stream), None, "{}", reply.head);
        }
        let line = line(&request_id);
        assert_eq!((&line["status"], &line["error_code"]), (&json!(426), &json!("upgrade_required")), "{line}");
    }
}

#[tokio::test]
async fn pages_over_http_1_0_say_their_length_and_lead_through_everything() {
    let (app, ann) = with_buckets().await;
    let bearer = format!("Bearer {}", ann.viewer);
    let headers = [("Authorization", bearer.as_str()), ("Accept", "application/x-ndjson"), ("Accept-Encoding", "gzip")];
    let (mut path, mut lines, mut pages) = ("/v1/buckets?limit=150".to_owned(), 0, 0);
    loop {
        let reply = say(&app, &format!("GET {path}"), &headers, "").await;
        assert_eq!((reply.status, reply.header("content-encoding")), (200, None));
        assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str()));
        lines += String::from_utf8_lossy(&reply.body).matches('\n').count();
        pages += 1;
        let Some(next) = reply.header("link") else { break };
        path = next.strip_prefix('<').unwrap().split('>').next().unwrap().to_owned();
    }
    assert_eq!((lines, pages), (400, 3));
}

/// RFC 9110, 9.3.2: a HEAD is a GET whose body stays away. So it is refused where the GET would be, and nowhere else, and
/// says of the body what the GET would say.
#[tokio::test]
async fn head_over_http_1_0_answers_as_get_does_and_sends_no_body() {
    let (app, ann) = with_buckets().await;
    let mut statuses = BTreeSet::new();
    let gets = TABLE.iter().filter_map(|(route, ..)| route.strip_prefix("GET "));
    for path in gets.chain(["/v1/buckets?limit=150", "/v1/buckets?limit=0", "/v1/rollups/", "/nothing"]) {
        let path = path.replace("{name}", "ingest").replace("{code}", "invalid");
        let path = path.replace("{job_id}", "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2");
        for token in [&ann.viewer, &ann.operator] {
            for accept in ["application/json", "text/csv", "application/x-ndjson"] {
                let bearer = format!("Bearer {token}");
                let request_id = Uuid::now_v7().to_string();
                let headers =
                    [("Authorization", bearer.as_str()), ("Accept", accept), ("X-Request-Id", request_id.as_str())];
                let get = say(&app, &format!("GET {path}"), &headers, "").await;
                let head = say(&app, &format!("HEAD {path}"), &headers, "").await;
                assert_eq!(head.status, get.status, "{path} as {accept}: {} {}", head.head, get.head);
                assert_eq!(String::from_utf8_lossy(&head.body), "", "{path} as {accept}");
                for name in ["content-type", "upgrade", "connection", "etag", "link", "halfhour-version", "vary"] {
                    assert_eq!(head.header(name), get.header(name), "{name} of {path} as {accept}");
                }
                // What is measured while it is asked differs from one time to the next.
                if !["/metrics", "/v1/status"].contains(&path.as_str()) {
                    assert_eq!(head.header("content-length"), get.header("content-length"), "{path} as {accept}");
                }
                statuses.insert(get.status);
            }
        }
    }
    assert!([200, 403, 404, 422, 426].iter().all(|status| statuses.contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn every_answer_over_http_1_0_says_its_length_or_is_refused() {
    let (app, ann) = with_buckets().await;
    let laptop = app.device(&ann, "desktop").await;
    let mut lengths = 0;
    for (route, body, _) in TABLE {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{device_id}", "7").replace("{name}", "ingest").replace("{code}", "invalid");
        let path = path.replace("{job_id}", "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2");
        let length = body.len().to_string();
        for token in [&laptop.token, &ann.viewer, &ann.operator] {
            for accept in ["", "application/json", "text/csv", "application/x-ndjson", "text/html", "*/*"] {
                let bearer = format!("Bearer {token}");
                let mut headers = vec![("Authorization", bearer.as_str()), ("Accept", accept)];
                headers.extend([("Accept-Encoding", "zstd, gzip"), ("Content-Length", &length)]);
                if !body.is_empty() {
                    headers.push(("Content-Type", "application/json"));
                }
                let reply = say(&app, &format!("{method} {path}"), &headers, body).await;
                let said = reply.header("content-length").map(str::to_owned);
                assert_eq!(said, Some(reply.body.len().to_string()), "{route} as {accept:?}: {}", reply.head);
                assert_eq!(reply.header("content-encoding"), None, "{route}");
                assert_eq!(reply.header("transfer-encoding"), None, "{route}");
                lengths += 1;
            }
        }
    }
    assert!(lengths > 400, "only {lengths} answers were looked at");
}

#[tokio::test]
async fn a_body_over_http_1_0_that_says_no_length_is_refused_and_nothing_is_planned() {
    let (app, ann) = with_buckets().await;
    let bearer = format!("Bearer {}", ann.operator);
    let request = "POST /v1/backfills?action=import&reason=x&from=2026-11-20&to=2026-11-20";
    let headers =
        [("Authorization", bearer.as_str()), ("Idempotency-Key", "k"), ("Content-Type", "application/x-ndjson")];
    let reply = say(&app, request, &headers, "{}\n").await;
    assert_eq!((reply.status, &reply.json()["code"]), (400, &json!("malformed")), "{}", reply.json());
    assert!(reply.json()["detail"].as_str().unwrap().contains("`Content-Length`"), "{}", reply.json());
    let jobs = app.get(&ann.operator, "/v1/backfills").await;
    assert_eq!(jobs.expect_ok()["data"], json!([]));
}

#[tokio::test]
async fn over_http_1_1_streams_are_streamed_and_compressed_as_before() {
    let (app, ann) = with_buckets().await;
    let request = app.request(Method::GET, "/v1/buckets").bearer(&ann.viewer).header("accept", "text/csv");
    let reply = request.header("accept-encoding", "gzip").send().await;
    assert_eq!((reply.status, reply.header("content-encoding"), reply.header("content-length")), (200, "gzip", ""));
    let reply = app.request(Method::GET, "/v1/buckets").bearer(&ann.viewer).header("accept", "text/csv").send().await;
    assert_eq!(String::from_utf8(reply.body).unwrap().lines().count(), 401);
}

#[tokio::test]
async fn an_accept_that_names_nothing_is_answered_as_if_there_were_none() {
    let (app, ann) = with_buckets().await;
    let routes = ["/v1/buckets", "/v1/rollups", "/v1/rollups/summary", "/v1/rollups/heatmap"];
    for path in routes {
        for accept in ["", " ", ",", " , ,", "\t"] {
            let reply = app.request(Method::GET, path).bearer(&ann.viewer).header("accept", accept).send().await;
            assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"), "{path}: {accept:?}");
        }
        let reply =
            app.request(Method::GET, path).bearer(&ann.viewer).header("accept", "").header("accept", "text/html");
        reply.send().await.expect_problem(406, "not_acceptable");
        let strange = reqwest::header::HeaderValue::from_bytes(b"\xff").unwrap();
        let reply = app.request(Method::GET, path).bearer(&ann.viewer).raw_header("accept", strange).send().await;
        reply.expect_problem(406, "not_acceptable");
    }
}

/// A server that is served under a path by a proxy, and asked through it.
async fn under_a_path() -> TestApp {
    let proxy = WebProxy::new().await;
    let url = proxy.url.clone();
    let mut app = TestApp::start_with(|settings| settings.public_url.clone_from(&url)).await;
    proxy.pass_to(&app.url);
    app.url = url;
    app
}

/// Paths of the server in a text that do not lead through the proxy.
fn loose_paths(text: &str) -> Vec<String> {
    let roots = ["/v1/", "/docs", "/openapi.json", "/problems", "/health", "/metrics"];
    let found = roots.iter().flat_map(|root| text.match_indices(root));
    let loose = found.filter(|(at, _)| !text[..*at].ends_with(PREFIX));
    loose.map(|(at, _)| text[at..].chars().take(40).collect()).collect()
}

#[tokio::test]
async fn under_a_path_no_answer_of_any_route_has_a_path_that_leads_past_the_proxy() {
    let walk = Walk::on(under_a_path().await, "https://app.example").await;
    let (_, answers) = walk.everything().await;
    let mut loose = Vec::new();
    for answer in &answers {
        for (name, value) in &answer.reply.headers {
            let paths = loose_paths(value.to_str().unwrap()).into_iter();
            loose.extend(paths.map(|path| format!("{} {name}: {path}", answer.route)));
        }
        // There the names of routes are labels, and names relative to `servers`.
        if ["GET /metrics", "GET /openapi.json"].contains(&answer.route.as_str()) {
            continue;
        }
        let body = String::from_utf8_lossy(&answer.reply.body);
        loose.extend(loose_paths(&body).into_iter().map(|path| format!("{} body: {path}", answer.route)));
    }
    loose.dedup();
    assert_eq!(loose, Vec::<String>::new());
    assert!(answers.len() > 150, "only {} answers were looked at", answers.len());
    let led = answers.iter().filter(|answer| String::from_utf8_lossy(&answer.reply.body).contains(PREFIX));
    assert!(led.count() > 50);
}

#[test]
fn a_path_that_leads_past_the_proxy_is_caught() {
    assert_eq!(loose_paths("see /halfhour/docs and http://h/halfhour/problems/x"), Vec::<String>::new());
    assert_eq!(loose_paths("see `/docs`"), ["/docs`"]);
    assert_eq!(
        loose_paths("</v1/rollups?a>, http://h/problems/x"),
        ["/v1/rollups?a>, http://h/problems/x", "/problems/x"]
    );
}

#[tokio::test]
async fn under_a_path_every_link_leads_through_the_proxy() {
    let walk = Walk::on(under_a_path().await, "https://app.example").await;
    let url = walk.app.url.clone();
    let host = url.strip_suffix(PREFIX).unwrap().to_owned();
    let (walk, answers) = walk.everything().await;
    let mut followed = 0;
    for answer in &answers {
        let reply = &answer.reply;
        let link = reply.header("link").strip_prefix('<').and_then(|link| link.split('>').next());
        let location = Some(reply.header("location")).filter(|location| !location.is_empty());
        let explained = reply.json["type"].as_str();
        for place in [link, location, explained].into_iter().flatten() {
            let absolute = if place.starts_with('/') { format!("{host}{place}") } else { place.to_owned() };
            let path = absolute.strip_prefix(&url).unwrap_or_else(|| panic!("{}: {place}", answer.route));
            let token = if path.contains("backfills") { &walk.ann.operator } else { &walk.ann.viewer };
            let there = walk.request("GET", path).bearer(token).send().await;
            assert_eq!(there.status, 200, "{}: {place}", answer.route);
            followed += 1;
        }
    }
    assert!(followed > 100, "only {followed} links were followed");

    let document = walk.request("GET", "/openapi.json").send().await;
    assert_eq!(document.expect_ok()["servers"][0]["url"], url);
    assert!(operations(&document.json).iter().all(|(name, _)| !name.contains(PREFIX)));
    let page = walk.request("GET", "/docs/swagger-initializer.js").send().await;
    let page = String::from_utf8(page.body).unwrap();
    assert!(page.contains(&format!("\"{PREFIX}/openapi.json\"")), "{page}");
    let problem = walk.request("GET", "/problems/malformed").send().await;
    let problem = String::from_utf8(problem.body).unwrap();
    assert!(
        problem.contains(&format!("href=\"{PREFIX}/docs\"")) && problem.contains(&format!("{PREFIX}/openapi.json"))
    );
    let wrong = walk.request("GET", "/v1/buckets/").send().await;
    let detail = wrong.expect_problem(404, "not_found")["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("`{PREFIX}/v1/buckets`")), "{detail}");
}

#[tokio::test]
async fn without_a_path_in_the_public_url_every_answer_is_as_if_there_were_none() {
    for public_url in [None, Some("https://halfhour.example"), Some("https://halfhour.example/")] {
        let app = TestApp::start_with(|settings| {
            if let Some(url) = public_url {
                settings.public_url = url.to_owned();
            }
        });
        let walk = Walk::on(app.await, "https://app.example").await;
        let get = async |path: &str| walk.request("GET", path).send().await;
        let text = async |path: &str| String::from_utf8(get(path).await.body).unwrap();
        assert_eq!(get("/docs").await.header("location"), "/docs/");
        assert_eq!(get("/openapi.json").await.expect_ok()["servers"][0]["url"], "/");
        assert!(text("/docs/swagger-initializer.js").await.contains("\"/openapi.json\""));
        assert!(text("/problems/malformed").await.contains("href=\"/docs\""));
        let nothing = get("/nothing").await;
        let problem = nothing.expect_problem(404, "not_found");
        assert_eq!(problem["detail"], "There is no such path; /docs lists them all.");
        let base = public_url.map_or(walk.app.url.as_str(), |url| url.trim_end_matches('/'));
        assert_eq!(problem["type"], format!("{base}/problems/not_found"));
        let (_, answers) = walk.everything().await;
        let links: Vec<_> =
            answers.iter().map(|answer| answer.reply.header("link")).filter(|link| !link.is_empty()).collect();
        assert!(links.len() > 2 && links.iter().all(|link| link.starts_with("</v1/")), "{links:?}");
    }
}
