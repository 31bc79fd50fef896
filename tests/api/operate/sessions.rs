//! Who is signed in as an operator: by an operator token only, for half a day, in a cookie of its own.

use std::time::Duration;

use chrono::TimeDelta;
use halfhour::kernel::access::{Actor, TokenKind};

use crate::dashboard_page::Browser;
use crate::support::{NOW, TestApp, context, instant};

/// An app that looks tokens up again at once, so that a revocation needs no waiting for.
async fn forgetful() -> TestApp {
    TestApp::start_with(|settings| settings.token_memory = Duration::ZERO).await
}

#[tokio::test]
async fn an_operator_token_signs_in_and_no_other_does() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let mut browser = Browser::new(&app);
    browser.get("/operate").await.leads_to("/operate/sign-in");
    browser.get("/operate/users?limit=5").await.leads_to("/operate/sign-in?next=%2Foperate%2Fusers%3Flimit%3D5");
    for (token, status, word) in
        [(laptop.token.as_str(), 403, "device"), (&ann.viewer, 403, "viewer"), ("hho_garbage", 401, "not valid")]
    {
        let refused = browser.post("/operate/sign-in", &[("token", token)]).await;
        assert!(refused.page(status).contains(word), "{}", refused.text);
        assert!(!refused.text.contains(token), "a secret came back");
        assert_eq!(browser.cookie(), "");
    }
    browser.post("/operate/sign-in", &[("token", "")]).await.page(422);
    browser.post("/operate/sign-in", &[("token", &ann.operator), ("everything", "yes")]).await.page(422);
    let next = [("token", ann.operator.as_str()), ("next", "/operate/users?limit=5")];
    browser.post("/operate/sign-in", &next).await.leads_to("/operate/users?limit=5");
    let shown = browser.get("/operate").await;
    assert!(shown.page(200).contains(">ann<"), "{}", shown.text);
    assert_eq!(shown.header("cache-control"), "no-store");
    for elsewhere in ["//evil.example/", "https://evil.example/operate", "/settings", "/"] {
        let asked = [("token", ann.operator.as_str()), ("next", elsewhere)];
        browser.post("/operate/sign-in", &asked).await.leads_to("/operate");
    }
    let kinds = "select distinct kind || ' ' || (expires_at - created_at)::text from account.token where is_session";
    assert_eq!(app.ask(kinds).await, ["operator 12:00:00"]);
    let begun = "select count(*)::text from ops.audit where action = 'session.begin' and actor_kind = 'operator'";
    assert_eq!(app.ask(begun).await, ["5"]);
}

#[tokio::test]
async fn a_viewers_session_does_not_operate_and_an_operators_shows_no_usage() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let (mut viewer, mut operator) = (Browser::signed_in(&app, &ann).await, Browser::operating(&app, &ann).await);
    let refused = viewer.get("/operate/jobs").await;
    assert!(refused.page(403).contains("signed in as a viewer") && refused.text.contains("hho_"), "{}", refused.text);
    assert!(refused.text.contains("value=\"/operate/jobs\""), "it leads there afterwards: {}", refused.text);
    let form = [("is_on", "no"), ("seen", "never"), ("reason", "x")];
    viewer.post("/operate/switches/ingest", &form).await.page(401);
    assert_eq!(app.ask("select count(*)::text from ops.switch").await, ["0"]);
    for path in ["/", "/settings", "/day", "/usage.csv"] {
        let refused = operator.get(path).await;
        assert!(refused.page(403).contains("signed in as an operator"), "{path}: {}", refused.text);
    }
    operator.post("/settings/link-codes", &[]).await.page(401);
    assert_eq!(app.ask("select count(*)::text from account.link_code").await, ["0"]);
    // Side by side each opens its own pages, and ends by itself.
    let (viewers, operators) = (viewer.cookie().to_owned(), operator.cookie().to_owned());
    let mut both = viewer.with_cookie(&format!("{viewers}; {operators}"));
    both.get("/").await.page(200);
    both.get("/operate").await.page(200);
    // What was sealed for the one is nothing under the name of the other.
    let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    let swapped = format!("halfhour-session={}; halfhour-operate={}", value(&operators), value(&viewers));
    let mut swapped = viewer.with_cookie(&swapped);
    swapped.get("/").await.leads_to("/sign-in");
    swapped.get("/operate").await.leads_to("/operate/sign-in");
}

#[tokio::test]
async fn the_operators_cookie_is_a_browsers_alone_and_of_this_host_alone() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let over_tls = app.second_server_with(|settings| settings.public_url = "https://halfhour.example".into()).await;
    for (server, begins, is_secure) in
        [(&app, "halfhour-operate=v4.local.", false), (&over_tls, "__Host-halfhour-operate=v4.local.", true)]
    {
        let shown = Browser::new(server).post("/operate/sign-in", &[("token", &ann.operator)]).await;
        let set = shown.header("set-cookie");
        assert!(set.starts_with(begins) && set.contains("Secure") == is_secure, "{set}");
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
            assert!(set.contains(part), "{set}");
        }
        assert!(!set.contains("Domain"), "{set}");
    }
}

#[tokio::test]
async fn nothing_that_this_server_has_not_sealed_for_operators_is_their_session() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let good = Browser::operating(&app, &ann).await;
    let (name, value) = good.cookie().split_once('=').unwrap();
    let mut tried = vec![
        String::new(),
        "v4.local.".into(),
        ann.operator.clone(),
        "A".repeat(5000),
        value[..value.len() - 1].into(),
    ];
    for at in (0..value.len()).step_by(7) {
        let mut forged = value.as_bytes().to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        tried.push(String::from_utf8(forged).unwrap());
    }
    for forged in tried {
        let mut browser = Browser::new(&app).with_cookie(&format!("{name}={forged}"));
        browser.get("/operate").await.leads_to("/operate/sign-in");
    }
    Browser::new(&app).with_cookie(good.cookie()).get("/operate").await.page(200);
}

#[tokio::test]
async fn signing_in_as_an_operator_begins_a_session_of_its_own_whatever_cookie_there_was() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let planted = Browser::operating(&app, &bob).await;
    let mut victim = planted.with_cookie(planted.cookie());
    victim.post("/operate/sign-in", &[("token", &ann.operator)]).await.leads_to("/operate");
    assert_ne!(victim.cookie(), planted.cookie());
    assert!(victim.get("/operate").await.page(200).contains(">ann<"));
    assert!(planted.with_cookie(planted.cookie()).get("/operate").await.page(200).contains(">bob<"));
}

#[tokio::test]
async fn an_operators_session_ends_by_signing_out_with_its_token_and_with_its_user() {
    let app = forgetful().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    let stolen = browser.cookie().to_owned();
    let shown = browser.post("/operate/sign-out", &[]).await;
    shown.leads_to("/operate/sign-in");
    assert!(shown.header("set-cookie").contains("Max-Age=0"), "{}", shown.header("set-cookie"));
    browser.with_cookie(&stolen).get("/operate").await.leads_to("/operate/sign-in");
    assert_eq!(app.get(&ann.operator, "/v1/status").await.status, 200, "the token that began it goes on");

    let issued =
        app.accounts().issue_token(&context(), Actor::Command, "ann", TokenKind::Operator, None).await.unwrap();
    let mut browser = Browser::new(&app);
    browser.post("/operate/sign-in", &[("token", issued.token.reveal())]).await.leads_to("/operate");
    browser.get("/operate").await.page(200);
    app.accounts().tokens.revoke(&context(), Actor::Command, issued.token_id).await.unwrap();
    browser.get("/operate").await.leads_to("/operate/sign-in");

    let (mut one, mut other) = (Browser::operating(&app, &ann).await, Browser::operating(&app, &ann).await);
    one.post("/operate/sign-out", &[("everywhere", "yes")]).await.leads_to("/operate/sign-in");
    other.get("/operate").await.leads_to("/operate/sign-in");

    let mut last = Browser::operating(&app, &ann).await;
    app.accounts().users.revoke(&context(), Actor::Command, "ann").await.unwrap();
    last.get("/operate").await.leads_to("/operate/sign-in");
}

#[tokio::test]
async fn an_operators_session_ends_after_half_a_day_whatever_is_done() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    app.clock.set(instant(NOW) + TimeDelta::hours(12) - TimeDelta::seconds(1));
    assert_eq!(browser.get("/operate").await.header("set-cookie"), "");
    app.clock.set(instant(NOW) + TimeDelta::hours(12));
    browser.get("/operate").await.leads_to("/operate/sign-in");
}

#[tokio::test]
async fn an_operators_session_is_no_bearer_token_and_a_bearer_token_opens_no_page_of_operators() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let browser = Browser::operating(&app, &ann).await;
    let value = browser.cookie().split_once('=').unwrap().1;
    app.get(value, "/v1/status").await.expect_problem(401, "unauthorized");
    let reply = app.request(reqwest::Method::GET, "/v1/status").header("cookie", browser.cookie()).send().await;
    reply.expect_problem(401, "unauthorized");
    let mut bearer = Browser::new(&app).with_bearer(&ann.operator);
    bearer.get("/operate").await.leads_to("/operate/sign-in");
    bearer.post("/operate/sign-out", &[]).await.page(401);
}

#[tokio::test]
async fn a_session_that_is_in_use_near_its_end_is_no_token_that_was_rotated() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    Browser::operating(&app, &ann).await.get("/operate").await.page(200);
    let ids = app.ask("select token_id::text from account.token where is_session").await;
    let uses: Vec<_> = ids.iter().map(|id| (id.parse().unwrap(), instant(NOW))).collect();
    assert_eq!(app.accounts().tokens.note_uses(&context(), &uses).await.unwrap(), 0);
}
