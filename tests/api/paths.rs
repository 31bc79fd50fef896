//! Paths with slashes too many: nothing is done there, and the answer names the right path.

use reqwest::Method;
use serde_json::json;

use crate::routes::TABLE;
use crate::support::{Reply, TestApp};

const NOTHING: &str = "There is no such path; /docs lists them all.";

/// A path with slashes doubled in each place, at its end, and everywhere, plain or encoded.
fn variants(path: &str) -> Vec<String> {
    let doubled = |(at, _)| ["/", "/%2F", "/%2f"].map(|before| format!("{}{before}{}", &path[..at], &path[at + 1..]));
    let places = path.match_indices('/').flat_map(doubled);
    let places = places.chain(path.match_indices('/').map(|(at, _)| format!("{}/{}", &path[..at], &path[at..])));
    // A path begins with a slash; all others may be encoded.
    let joined = format!("/{}", path[1..].replace('/', "%2F"));
    let ends = ["/", "//", "///", "%2F", "%2f/"].map(|end| format!("{path}{end}"));
    let places = places.chain([joined]);
    places.chain(ends).chain([format!("{}/", path.replace('/', "///"))]).filter(|found| found != path).collect()
}

fn expect_named(reply: &Reply, asked: &str, right: &str) {
    let problem = reply.expect_problem(404, "not_found");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&format!("`{right}`")), "{asked}: {detail}");
    assert!(!reply.headers.contains_key("location"), "{asked}: {:?}", reply.headers);
}

#[tokio::test]
async fn every_path_with_slashes_too_many_is_404_and_names_the_right_one() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut asked = 0;
    for (route, ..) in TABLE {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap().replace("{device_id}", "7").replace("{job_id}", "a-b.c~d");
        let path = path.replace("{name}", "in%20gest").replace("{code}", "%69nvalid");
        let path = path.strip_suffix('/').unwrap_or(&path);
        let right = if path == "/docs" { "/docs/" } else { path };
        for variant in variants(path).into_iter().filter(|variant| variant != right) {
            // The methods that the path has, and one that it has not.
            for method in [method, "TRACE"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let with_query = format!("{variant}?limit=1&x=//");
                for asked_path in [&variant, &with_query] {
                    let reply = app.request(method.clone(), asked_path).bearer(&ann.viewer).send().await;
                    expect_named(&reply, asked_path, right);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 400, "only {asked} paths were asked for");
}

#[tokio::test]
async fn a_post_to_a_path_with_slashes_too_many_does_nothing_and_is_not_redirected() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "m",
        "observed_at": "2026-11-20T10:52:00Z", "input_tokens": 1}]});
    for path in ["/v1/buckets/", "//v1/buckets", "/v1//buckets?x=1"] {
        let reply = app.request(Method::POST, path).bearer(&laptop.token).json(&body).send().await;
        expect_named(&reply, path, "/v1/buckets");
    }
    assert_eq!(app.get(&ann.viewer, "/v1/buckets").await.expect_ok()["data"], json!([]));
    app.post_buckets(&laptop.token, &body).await.expect_ok();
}

#[tokio::test]
async fn a_path_that_is_none_without_the_slashes_either_is_an_ordinary_404() {
    let app = TestApp::start().await;
    let too_few = ["/v1//", "//", "/%2F"];
    let unknown = [
        "/v2/buckets/",
        "/v1/bucket/",
        "/V1/buckets/",
        "/v1/buckets//x",
        "/v2%2Fbuckets",
        "/docs//nothing.css",
        "/nothing",
    ];
    for path in too_few.into_iter().chain(unknown) {
        let reply = app.request(Method::GET, path).send().await;
        assert_eq!(reply.expect_problem(404, "not_found")["detail"], NOTHING, "{path}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_empty_or_has_a_slash_comes_to_no_route() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let mut asked = 0;
    for (route, body, _) in TABLE.iter().filter(|(route, ..)| route.contains('{')) {
        let (method, pattern) = route.split_once(' ').unwrap();
        let begin = pattern.find('{').unwrap();
        let end = pattern.find('}').unwrap() + 1;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        // Where nothing follows the parameter, the path without it may be another route.
        let shorter = pattern[..begin].trim_end_matches('/');
        let is_route = |path: &str| TABLE.iter().any(|(route, ..)| route.split_once(' ').unwrap().1 == path);
        let right = if end == pattern.len() && is_route(shorter) { shorter } else { pattern };
        for empty in ["", "%2F", "%2f%2F"] {
            let path = format!("{}{empty}{}", &pattern[..begin], &pattern[end..]);
            for token in [&laptop.token, &ann.viewer, &ann.operator] {
                let request = app.request(method.clone(), &path).bearer(token);
                let request = request.header("content-type", "application/json").body(body.as_bytes().to_vec());
                expect_named(&request.send().await, &path, right);
                asked += 1;
            }
        }
        let with_slash = format!("{}a%2Fb{}", &pattern[..begin], &pattern[end..]);
        let reply = app.request(method, &with_slash).bearer(&ann.operator).send().await;
        assert_eq!(reply.expect_problem(404, "not_found")["detail"], NOTHING, "{with_slash}");
    }
    assert!(asked >= 90, "only {asked} paths were asked for");
    let listed = app.get(&ann.viewer, "/v1/devices").await;
    assert_eq!(listed.expect_ok()["data"][0]["revoked_at"], json!(null));
}

#[tokio::test]
async fn a_letter_that_is_encoded_leads_to_no_route_and_the_right_path_is_named() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut asked = 0;
    for (route, ..) in TABLE {
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap().replace("{device_id}", "7").replace("{job_id}", "a-b.c~d");
        let right = path.replace("{name}", "in%20gest").replace("{code}", "%69nvalid");
        for (place, letter) in right.char_indices().filter(|(_, letter)| letter.is_ascii_lowercase()) {
            let code = format!("%{:02x}", u32::from(letter));
            let encoded = format!("{}{code}{}", &right[..place], &right[place + 1..]);
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let reply = app.request(method, &encoded).bearer(&ann.viewer).send().await;
            let detail = reply.json["detail"].as_str().unwrap_or_default();
            // A parameter is what it decodes to.
            asked += usize::from(reply.status == 404 && detail.contains("percent-encoded"));
            let is_named = detail.contains(&format!("`{right}`"));
            let is_answered = !detail.contains("There is no such path");
            assert!(is_named || is_answered, "{encoded}: {}", reply.json);
        }
    }
    assert!(asked > 200, "only {asked} paths were asked for");
}

#[tokio::test]
async fn a_path_that_is_no_text_is_told_so_whoever_asks() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    for path in ["/v1/switches/%FF", "/v1/devices/%C3/revoke", "/v1/backfills/%ED%A0%80", "/problems/%FF", "/%FF"] {
        for token in ["", &ann.viewer, &ann.operator] {
            let reply = app.request(Method::GET, path).bearer(token).send().await;
            let problem = reply.expect_problem(400, "malformed");
            assert!(problem["detail"].as_str().unwrap().contains("UTF-8"), "{path}: {problem}");
        }
    }
}

#[tokio::test]
async fn an_encoded_percent_sign_is_no_slash() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    for name in ["%252F", "%2", "%25", "%2Gingest"] {
        let reply = app.request(Method::GET, &format!("/v1/switches/{name}")).bearer(&ann.operator).send().await;
        assert!(!reply.json["detail"].as_str().unwrap().contains("instead"), "{name}: {}", reply.json);
    }
}
