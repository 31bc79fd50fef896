//! Paths with slashes too many: nothing is done there, and the answer names the right path.

use reqwest::Method;
use serde_json::json;

use crate::routes::TABLE;
use crate::support::{Reply, TestApp};

const NOTHING: &str = "There is no such path; /docs lists them all.";

/// A path with slashes doubled in each place, at its end, and everywhere.
fn variants(path: &str) -> Vec<String> {
    let places = path.match_indices('/').map(|(at, _)| format!("{}/{}", &path[..at], &path[at..]));
    let ends = ["/", "//", "///"].map(|end| format!("{path}{end}"));
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
        let path = path.replace("{name}", "in%2Fgest").replace("{code}", "%69nvalid");
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
    let too_few = ["/problems//", "/problems/", "/v1//", "//", "/"];
    let unknown = ["/v2/buckets/", "/v1/bucket/", "/V1/buckets/", "/v1/buckets//x", "/docs//nothing.css", "/nothing"];
    for path in too_few.into_iter().chain(unknown) {
        let reply = app.request(Method::GET, path).send().await;
        assert_eq!(reply.expect_problem(404, "not_found")["detail"], NOTHING, "{path}");
    }
}

#[tokio::test]
async fn an_encoded_slash_is_a_part_of_a_name() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    for path in ["/v1%2Fbuckets", "/v1/buckets%2F", "%2F/v1/buckets", "/v1%2F/buckets", "/v1/%2Fbuckets"] {
        let reply = app.request(Method::GET, &format!("/{}", path.trim_start_matches('/'))).send().await;
        assert_eq!(reply.expect_problem(404, "not_found")["detail"], NOTHING, "{path}");
    }
    let reply = app.request(Method::GET, "/v1/switches/%2F%2Fingest%2F").bearer(&ann.operator).send().await;
    assert_ne!(reply.status, 200, "{}", reply.json);
    assert!(!reply.json["detail"].as_str().unwrap().contains("instead"), "{}", reply.json);
}
