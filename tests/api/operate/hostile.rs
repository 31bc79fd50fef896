//! What must not happen on operators' pages: forms of other sites, forms whose session has ended, a database that is gone.

use std::time::Duration;

use super::{between, plain, sent};
use crate::dashboard_page::Browser;
use crate::support::{Proxy, TestApp};

/// Every form of operators, with what it would do.
const FORMS: [(&str, &[(&str, &str)]); 6] = [
    ("/operate/switches/ingest", &[("is_on", "no"), ("seen", "never"), ("reason", "x")]),
    (
        "/operate/jobs",
        &[
            ("key", "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2"),
            ("action", "replay"),
            ("from", "2026-11-01"),
            ("to", "2026-11-02"),
            ("reason", "x"),
        ],
    ),
    ("/operate/jobs/01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2/execute", &[("version", "1")]),
    ("/operate/jobs/01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2/cancel", &[("version", "1")]),
    ("/operate/jobs/01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2/rollback", &[("version", "1")]),
    ("/operate/sign-out", &[("everywhere", "yes")]),
];

async fn nothing_was_done(app: &TestApp) {
    for table in ["ops.switch", "backfill.job"] {
        assert_eq!(app.ask(&format!("select count(*)::text from {table}")).await, ["0"], "{table}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_or_of_nowhere_operates_nothing() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    for headers in [
        vec![],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "")],
    ] {
        for (path, fields) in FORMS {
            let shown = browser.with_cookie(browser.cookie()).post_saying(path, fields, &headers).await;
            assert!(shown.page(403).contains("another site"), "{path} {headers:?}: {}", shown.text);
            assert_eq!(shown.header("set-cookie"), "");
        }
        let token = [("token", ann.operator.as_str())];
        let shown = Browser::new(&app).post_saying("/operate/sign-in", &token, &headers).await;
        assert_eq!((shown.status, shown.header("set-cookie")), (403, ""), "{headers:?}");
    }
    nothing_was_done(&app).await;
    browser.get("/operate").await.page(200);
}

#[tokio::test]
async fn without_an_operators_session_no_form_operates() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let viewer = Browser::signed_in(&app, &ann).await;
    for (path, fields) in FORMS {
        for mut browser in [Browser::new(&app), viewer.with_cookie(viewer.cookie())] {
            let shown = browser.post(path, fields).await;
            assert!(shown.page(401).contains("No operator’s session is open"), "{path}: {}", shown.text);
        }
    }
    nothing_was_done(&app).await;
    Browser::new(&app).with_cookie(viewer.cookie()).get("/").await.page(200);
}

#[tokio::test]
async fn a_form_whose_operators_session_ends_meanwhile_is_kept_and_sent_only_by_its_person() {
    let app = TestApp::start_with(|settings| settings.token_memory = Duration::ZERO).await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    let mut elsewhere = Browser::operating(&app, &ann).await;
    elsewhere.post("/operate/sign-out", &[("everywhere", "yes")]).await.leads_to("/operate/sign-in");
    let reason = "the disk's \"full\" & so";
    let asked =
        browser.post("/operate/switches/ingest", &[("is_on", "no"), ("seen", "never"), ("reason", reason)]).await;
    let held = plain(between(asked.page(401), "name=\"held\" value=\"", "\""));
    let to = between(&asked.text, "name=\"held_to\" value=\"", "\"");
    let token = [("token", ann.operator.as_str()), ("held", &held), ("held_to", to)];
    let offered = browser.post("/operate/sign-in", &token).await;
    assert!(offered.page(200).contains("nothing was done yet"), "{}", offered.text);
    nothing_was_done(&app).await;
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(held.as_bytes()).into_owned().collect();
    browser.post(to, &sent(&fields)).await.leads_to("/operate");
    assert_eq!(app.ask("select reason from ops.switch").await, [reason]);
    // Where it is to go, nobody else decides.
    for elsewhere in ["https://evil.example/operate/jobs", "/settings/zone", "/operate/sign-out"] {
        let token = [("token", ann.operator.as_str()), ("held", "a=b"), ("held_to", elsewhere)];
        browser.post("/operate/sign-in", &token).await.leads_to("/operate");
    }
}

#[tokio::test]
async fn operators_without_a_database_are_told_so_with_the_id_of_the_request() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let proxy = Proxy::before_database_of(&app);
    let soon = Duration::from_secs(3);
    let server = app.second_server_through_with(&proxy, |settings| settings.request_deadline = soon).await;
    let mut browser = Browser::operating(&server, &ann).await;
    browser.get("/operate").await.page(200);
    proxy.silence(true);
    for path in ["/operate", "/operate/jobs"] {
        let shown = browser.get(path).await;
        let page = shown.page(503);
        assert!(page.contains("The database does not answer"), "{page}");
        assert!(page.contains(shown.header("x-request-id")) && page.contains("href=\"/operate\""), "{page}");
        assert_ne!(shown.header("retry-after"), "");
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_operators_address_is_said_on_a_page() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    for (path, status) in [
        ("/operate?x=1", 422),
        ("/operate/prices?x=1", 422),
        ("/operate/coverage?x=1", 422),
        ("/operate/jobs?limit=0", 422),
        ("/operate/jobs?cursor=x", 400),
        ("/operate/users?limit=1001", 422),
        ("/operate/users?x=%FF", 400),
    ] {
        let shown = browser.get(path).await;
        assert!(shown.page(status).contains("href=\"/operate\""), "{path}: {}", shown.text);
    }
}
