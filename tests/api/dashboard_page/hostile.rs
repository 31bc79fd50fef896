//! What must not happen: forms of other sites, names that are markup, lists without end, and a database that is gone.

use serde_json::json;

use super::{Browser, numbers};
use crate::support::{Proxy, TestApp};

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "http://127.0.0.1:1")],
        vec![("sec-fetch-site", "")],
        vec![("sec-fetch-site", "SAME-ORIGIN")],
    ] {
        for path in ["/sign-out", "/sign-in"] {
            let mut other = browser.with_cookie(browser.cookie());
            let shown = other.post_saying(path, &[("token", &ann.viewer), ("everywhere", "yes")], &headers).await;
            assert!(shown.page(403).contains("another site"), "{headers:?}: {}", shown.text);
            assert_eq!(shown.header("set-cookie"), "");
        }
    }
    browser.get("/").await.page(200);
    for headers in [
        vec![("origin", app.url.as_str())],
        vec![("sec-fetch-site", "same-origin"), ("origin", "null")],
        vec![("sec-fetch-site", "none")],
    ] {
        let shown = Browser::new(&app).post_saying("/sign-in", &[("token", &ann.viewer)], &headers).await;
        shown.leads_to("/");
    }
}

#[tokio::test]
async fn a_form_whose_session_has_ended_is_no_more_than_asked_to_sign_in() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::new(&app);
    let shown = browser.post("/sign-out", &[("everywhere", "yes")]).await;
    assert!(shown.page(401).contains("Your session has ended"), "{}", shown.text);
    assert!(!shown.text.contains("everywhere"), "only what fills something in is held");
    browser
        .post("/sign-in", &[("token", &ann.viewer), ("held", "a=b"), ("held_to", "https://evil.example/settings")])
        .await
        .leads_to("/");
}

#[tokio::test]
async fn names_are_text_whatever_they_hold() {
    let app = TestApp::start().await;
    let script = "<script>alert(1)</script>";
    let ann = app.user("\"><img src=x>", "UTC").await;
    let device = app.device(&ann, script).await;
    let long = "長".repeat(170);
    let wide = format!("{}{}", "x".repeat(255), "é");
    let models = [script, "\"' onload=x", "عربى شبيه", "संगणक", &long, "a/b,c&d=e%20", "{{ 7 * 7 }}", &wide];
    let buckets: Vec<_> = models
        .iter()
        .map(
            |model| json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": model, "input_tokens": 7}),
        )
        .collect();
    app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
    app.drain().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let device_path = format!("/device?device_id={}", device.device_id);
    for path in ["/?most=50", "/day?day=2026-11-20&most=50", "/?group=device", &device_path] {
        let shown = browser.get(path).await;
        let page = shown.page(200);
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{path}");
        assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"), "{path}");
        assert_eq!(numbers(page)[0], 56, "{path}");
    }
    for model in models {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("model", model).finish();
        let shown = browser.get(&format!("/model?{query}")).await;
        assert_eq!(numbers(shown.page(200))[0], 7, "{model}");
        // Where its page is leads there: the link of a list is followed to the letter.
        let all = browser.get("/?most=50").await.text.replace("&#38;", "&").replace("&amp;", "&");
        assert!(all.contains(&query), "{model} is not linked as {query}");
    }
}

#[tokio::test]
async fn ten_thousand_models_are_listed_as_far_as_one_reads_and_counted_in_full() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    app.tell(&format!(
        "insert into rollup.daily (
             user_id, day, device_id, source, model, input_tokens, cache_read_tokens, cache_write_5m_tokens,
             cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count, bucket_count
         )
         select '{user}', date '2026-11-20' - n % 300, '{device}', 'codex', 'm' || n, n, 0, 0, 0, 0, 0, 0, 0, 1
         from generate_series(1, 10000) n;
         insert into rollup.user_state (user_id, time_zone, version) values ('{user}', 'UTC', 1) on conflict do nothing",
        user = ann.user_id,
        device = device.device_id
    ))
    .await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/?last=365&width=day").await;
    let page = shown.page(200).replace('\u{202f}', " ");
    assert_eq!(numbers(&page)[0], 50_005_000);
    assert!(page.contains("8 of 10 000 are listed"), "{page:.3000}");
    assert!(page.contains("the other 9 994"), "{page:.3000}");
    let many = browser.get("/?last=365&most=500").await;
    assert!(many.page(200).replace('\u{202f}', " ").contains("500 of 10 000 are listed"));
    browser.get("/?most=501").await.page(422);
}

#[tokio::test]
async fn a_page_without_a_database_says_so_with_the_id_of_its_request() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let proxy = Proxy::before_database_of(&app);
    let soon = std::time::Duration::from_secs(3);
    let server = app.second_server_through_with(&proxy, |settings| settings.request_deadline = soon).await;
    let mut browser = Browser::signed_in(&server, &ann).await;
    browser.get("/").await.page(200);
    proxy.silence(true);
    let shown = browser.get("/").await;
    let page = shown.page(503);
    assert!(page.contains("The database does not answer"), "{page}");
    assert!(page.contains(shown.header("x-request-id")), "{page}");
    assert_ne!(shown.header("retry-after"), "");
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_said_on_a_page() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (path, status, word) in [
        ("/?last=9999", 422, "last"),
        ("/?colour=red", 422, "colour"),
        ("/?from=2026-11-20&to=2026-11-01", 422, "from"),
        ("/?from=2020-01-01&to=2026-11-01", 422, "from"),
        ("/model", 422, "model"),
        ("/device?device_id=x", 422, "device_id"),
        ("/day?day=2026-02-30", 422, "day"),
        ("/?model=%00", 422, "model"),
    ] {
        let shown = browser.get(path).await;
        assert!(shown.page(status).contains(&format!("<code>{word}</code>")), "{path}: {}", shown.text);
    }
    browser.get("/?model=%FF").await.page(400);
}

#[tokio::test]
async fn what_pages_load_is_kept_for_good_and_is_small() {
    let app = TestApp::start().await;
    let mut browser = Browser::new(&app);
    let shown = browser.get("/sign-in").await;
    let page = shown.page(200).to_owned();
    let paths: Vec<&str> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(paths.len(), 3, "{page}");
    let mut weight = 0;
    for path in paths {
        let asset = browser.get(path).await;
        assert_eq!(
            (asset.status, asset.header("cache-control")),
            (200, "public, max-age=31536000, immutable"),
            "{path}"
        );
        assert_eq!(asset.header("x-content-type-options"), "nosniff");
        weight += asset.text.len();
    }
    assert!(weight < 40_000, "{weight}");
    assert_eq!(browser.get("/assets/page.css").await.status, 404);
}
