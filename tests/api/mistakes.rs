//! The mistakes of a newcomer that a request meets. Each answer is enough alone: it names the thing and the way out. Those
//! that a start meets are in `tests/server_process/mistakes.rs`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{TestApp, logs};

fn bucket(change: impl FnOnce(&mut Value)) -> Value {
    let mut bucket = json!({"hour_start": "2026-11-20T11:30:00Z", "source": "codex", "model": "m", "input_tokens": 1});
    change(&mut bucket);
    json!({ "buckets": [bucket] })
}

/// Asserts that a text has these words.
#[track_caller]
fn assert_told(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word} is missing: {text}");
    }
}

#[tokio::test]
async fn who_takes_the_wrong_token_is_told_both_kinds_and_how_each_begins() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let refused = app.post_buckets(&ann.viewer, &bucket(|_| {})).await;
    let detail = refused.expect_problem(403, "wrong_principal")["detail"].as_str().unwrap();
    assert_told(detail, &["of the kind device (`hhd_…`)", "yours is of the kind viewer (`hhv_…`)"]);
    let refused = app.get(&device.token, "/v1/rollups").await;
    let detail = refused.expect_problem(403, "wrong_principal")["detail"].as_str().unwrap();
    assert_told(detail, &["viewer (`hhv_…`)", "yours is of the kind device (`hhd_…`)"]);
}

#[tokio::test]
async fn who_has_a_fast_clock_or_sends_local_time_is_told_where_the_servers_time_stands() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    for (name, value) in [("observed_at", "2026-11-20T12:30:00Z"), ("hour_start", "2026-11-20T13:00:00Z")] {
        let refused = app.post_buckets(&device.token, &bucket(|bucket| bucket[name] = value.into())).await;
        let error = &refused.expect_problem(422, "invalid")["errors"][0];
        assert_eq!(error["pointer"], format!("/buckets/0/{name}"));
        assert_told(
            error["detail"].as_str().unwrap(),
            &["server's clock", "`Date`", "in UTC", "set this machine's clock"],
        );
        assert!(!refused.header("date").is_empty(), "the answer shows no time");
    }
}

#[tokio::test]
async fn whose_tool_or_model_is_refused_is_told_which_are_taken_and_who_allows_another() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    for (name, value, words) in [
        ("source", "windsurf", &["`windsurf` is no tool", "GET /v1/sources", "halfhour source add windsurf"][..]),
        ("source", "claude", &["another name of `claude-code`", "send `claude-code`"]),
        ("source", "Claude Code", &["a-z 0-9 . _ -"]),
        ("model", "", &["1 to 256 characters"]),
        ("model", " gpt-5.2", &["blank"]),
        ("model", "gpt\u{200b}5.2", &["U+200B"]),
    ] {
        let refused = app.post_buckets(&device.token, &bucket(|bucket| bucket[name] = value.into())).await;
        let error = &refused.expect_problem(422, "invalid")["errors"][0];
        assert_eq!(error["pointer"], format!("/buckets/0/{name}"));
        assert_told(error["detail"].as_str().unwrap(), words);
    }
    let listed = app.get(&device.token, "/v1/sources").await;
    assert_told(&listed.expect_ok().to_string(), &["claude-code"]);
}

#[tokio::test]
async fn whose_proxy_says_nothing_or_is_not_known_is_told_so_in_the_log_once_callers_are_refused() {
    let ask = async |app: &TestApp, forwarded: Option<&str>, status: u16| {
        let request = app.request(Method::GET, "/openapi.json");
        let request = forwarded.into_iter().fold(request, |request, from| request.header("x-forwarded-for", from));
        assert_eq!(request.send().await.status, status);
    };
    let silent = "the proxy 127.0.0.1 says nothing in X-Forwarded-For";
    let unknown = "X-Forwarded-For of 127.0.0.1 is not believed";
    let limited = async |trusted: &[&str]| {
        let proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        TestApp::start_with(|settings| {
            settings.limits.anonymous = 1;
            settings.trusted_proxies = proxies;
        })
        .await
    };
    let app = limited(&["127.0.0.1/32"]).await;
    ask(&app, None, 200).await;
    ask(&app, None, 429).await;
    ask(&app, None, 429).await;
    let lines = logs::lines_with(silent);
    assert_eq!(lines[0]["level"], "WARN");
    assert_told(&lines[0].to_string(), &["count as one", "proxy_set_header X-Forwarded-For"]);

    let app = limited(&[]).await;
    ask(&app, Some("192.0.2.1"), 200).await;
    ask(&app, Some("192.0.2.2"), 429).await;
    assert_told(&logs::lines_with(unknown)[0].to_string(), &["count as one", "HALFHOUR_TRUSTED_PROXIES"]);
}
