//! Who is signed in: by a link and by a token, for how long, and what ends it.

use chrono::TimeDelta;
use halfhour::features::accounts::Accounts;
use halfhour::kernel::access::{Actor, TokenKind};
use halfhour::kernel::problem::Code;
use uuid::Uuid;

use super::Browser;
use crate::support::{NOW, TestApp, context, instant, server_key};

/// An app that looks tokens up again at once, so that a revocation needs no waiting for.
async fn forgetful() -> TestApp {
    TestApp::start_with(|settings| settings.token_memory = std::time::Duration::ZERO).await
}

async fn code(app: &TestApp, user: &str) -> String {
    // The commands' own clock is the machine's.
    let (pool, signal) = (app.pools.worker.clone(), app.signal().clone());
    let accounts = Accounts::serving(pool, server_key(), app.clock.clone(), signal);
    accounts.sign_ins.code_for(&context(), user).await.unwrap()
}

#[tokio::test]
async fn a_link_signs_in_once_after_its_reader_has_said_so() {
    let app = TestApp::start().await;
    app.user("ann", "UTC").await;
    let code = code(&app, "ann").await;
    let (mut first, mut second) = (Browser::new(&app), Browser::new(&app));
    first.get("/").await.leads_to("/sign-in");
    let path = format!("/sign-in?code={code}");
    let shown = first.get(&path).await;
    assert!(shown.page(200).contains("Sign in as ann"), "{}", shown.text);
    assert_eq!(shown.header("cache-control"), "no-store");
    // To look at the link uses nothing up.
    first.get(&path).await.page(200);
    first.post("/sign-in", &[("code", &code)]).await.leads_to("/");
    first.get("/").await.page(200);
    let again = second.post("/sign-in", &[("code", &code)]).await;
    assert!(again.page(422).contains("was used"), "{}", again.text);
    assert_eq!(second.cookie(), "");
}

#[tokio::test]
async fn a_code_that_two_send_at_once_signs_one_in() {
    let app = TestApp::start().await;
    app.user("ann", "UTC").await;
    let code = code(&app, "ann").await;
    let sends = (0..8).map(|_| async {
        let mut browser = Browser::new(&app);
        browser.post("/sign-in", &[("code", &code)]).await.status
    });
    let mut statuses = futures_util::future::join_all(sends).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 422, 422, 422, 422, 422, 422, 422]);
    assert_eq!(app.ask("select count(*)::text from account.token where is_session").await, ["1"]);
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes_and_none_is_made_up() {
    let app = TestApp::start().await;
    app.user("ann", "UTC").await;
    let code = code(&app, "ann").await;
    let mut browser = Browser::new(&app);
    let mut forged = code.clone().into_bytes();
    forged[30] = if forged[30] == b'A' { b'B' } else { b'A' };
    for bad in [String::from_utf8(forged).unwrap(), "x".into(), "A".repeat(75)] {
        browser.get(&format!("/sign-in?code={bad}")).await.page(422);
        browser.post("/sign-in", &[("code", &bad)]).await.page(422);
    }
    app.clock.set(instant(NOW) + TimeDelta::seconds(599));
    browser.get(&format!("/sign-in?code={code}")).await.page(200);
    app.clock.set(instant(NOW) + TimeDelta::minutes(10));
    browser.get(&format!("/sign-in?code={code}")).await.page(422);
    browser.post("/sign-in", &[("code", &code)]).await.page(422);
    assert_eq!(app.ask("select count(*)::text from account.token where is_session").await, ["0"]);
}

#[tokio::test]
async fn a_code_of_whoever_was_revoked_since_signs_nobody_in() {
    let app = TestApp::start().await;
    app.user("ann", "UTC").await;
    let code = code(&app, "ann").await;
    app.accounts().users.revoke(&context(), Actor::Command, "ann").await.unwrap();
    let mut browser = Browser::new(&app);
    browser.get(&format!("/sign-in?code={code}")).await.page(422);
    browser.post("/sign-in", &[("code", &code)]).await.page(422);
    assert!(app.accounts().sign_ins.code_for(&context(), "ann").await.is_err());
    assert_eq!(app.ask("select count(*)::text from account.token where is_session").await, ["0"]);
}

#[tokio::test]
async fn a_viewer_token_signs_in_and_no_other_does() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let mut browser = Browser::new(&app);
    for (token, status, word) in
        [(laptop.token.as_str(), 403, "device"), (&ann.operator, 403, "operator"), ("hhv_garbage", 401, "not valid")]
    {
        let refused = browser.post("/sign-in", &[("token", token)]).await;
        assert!(refused.page(status).contains(word), "{}", refused.text);
        assert!(!refused.text.contains(token), "a secret came back");
    }
    browser.post("/sign-in", &[("token", "")]).await.page(422);
    browser
        .post("/sign-in", &[("token", &ann.viewer), ("next", "/day?day=2026-11-20")])
        .await
        .leads_to("/day?day=2026-11-20");
    let shown = browser.get("/").await;
    assert!(shown.page(200).contains(">ann<"), "{}", shown.text);
    browser.post("/sign-in", &[("token", &ann.viewer), ("next", "//evil.example/")]).await.leads_to("/");
}

#[tokio::test]
async fn the_cookie_is_a_browsers_alone_and_of_this_host_alone() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::new(&app);
    let shown = browser.post("/sign-in", &[("token", &ann.viewer)]).await;
    let set = shown.header("set-cookie").to_owned();
    assert!(set.starts_with("halfhour-session=v4.local."), "{set}");
    assert!(
        set.contains("HttpOnly")
            && set.contains("SameSite=Lax")
            && set.contains("Path=/")
            && set.contains("Max-Age=2592000"),
        "{set}"
    );
    assert!(!set.contains("Secure"), "on loopback without TLS no browser would keep it: {set}");
    let over_tls = app.second_server_with(|settings| settings.public_url = "https://halfhour.example".into()).await;
    let mut browser = Browser::new(&over_tls);
    let shown = browser.post("/sign-in", &[("token", &ann.viewer)]).await;
    let set = shown.header("set-cookie");
    assert!(set.starts_with("__Host-halfhour=v4.local.") && set.contains("Secure") && !set.contains("Domain"), "{set}");
    // What one name was sealed for opens no other one.
    let value = browser.cookie().split_once('=').unwrap().1.to_owned();
    let mut moved = Browser::new(&app).with_cookie(&format!("halfhour-session={value}"));
    moved.get("/").await.leads_to("/sign-in");
}

#[tokio::test]
async fn where_no_browser_keeps_a_session_that_is_said() {
    let app = TestApp::start().await;
    let over_tls = app.second_server_with(|settings| settings.public_url = "https://halfhour.example".into()).await;
    for (server, host, warns) in [
        (&app, "halfhour.lan:8080", true),
        (&app, "localhost:8080", false),
        (&over_tls, "halfhour.example", false),
        (&over_tls, "127.0.0.1", false),
    ] {
        let shown = server.request(reqwest::Method::GET, "/sign-in").header("host", host).send().await;
        assert_eq!(shown.status, 200);
        assert_eq!(String::from_utf8(shown.body).unwrap().contains("Over plain HTTP"), warns, "{host}");
    }
}

#[tokio::test]
async fn nothing_that_this_server_has_not_sealed_is_a_session() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let good = Browser::signed_in(&app, &ann).await;
    let (name, value) = good.cookie().split_once('=').unwrap();
    let mut tried = vec![
        String::new(),
        "x".into(),
        "v4.local.".into(),
        ann.viewer.clone(),
        "v4.local.AAAA".into(),
        "A".repeat(5000),
    ];
    for at in (0..value.len()).step_by(7) {
        let mut forged = value.as_bytes().to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        tried.push(String::from_utf8(forged).unwrap());
    }
    tried.push(value[..value.len() - 1].to_owned());
    for forged in tried {
        Browser::new(&app).with_cookie(&format!("{name}={forged}")).get("/").await.leads_to("/sign-in");
    }
    Browser::new(&app).with_cookie(good.cookie()).get("/").await.page(200);
}

#[tokio::test]
async fn signing_in_begins_a_session_of_its_own_whatever_cookie_there_was() {
    let app = forgetful().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let planted = Browser::signed_in(&app, &bob).await;
    let mut victim = planted.with_cookie(planted.cookie());
    victim.post("/sign-in", &[("token", &ann.viewer)]).await.leads_to("/");
    assert_ne!(victim.cookie(), planted.cookie());
    assert!(victim.get("/").await.page(200).contains(">ann<"));
    assert!(planted.with_cookie(planted.cookie()).get("/").await.page(200).contains(">bob<"));
}

#[tokio::test]
async fn a_cookie_is_of_no_use_after_signing_out() {
    let app = forgetful().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let other = Browser::signed_in(&app, &ann).await;
    let stolen = browser.cookie().to_owned();
    let shown = browser.post("/sign-out", &[]).await;
    shown.leads_to("/sign-in");
    assert!(shown.header("set-cookie").contains("Max-Age=0"), "{}", shown.header("set-cookie"));
    browser.with_cookie(&stolen).get("/").await.leads_to("/sign-in");
    other.with_cookie(other.cookie()).get("/").await.page(200);
    // The token that began it is no session, and goes on.
    assert_eq!(app.get(&ann.viewer, "/v1/me").await.status, 200);
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_of_the_user_and_of_nobody_else() {
    let app = forgetful().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let mut one = Browser::signed_in(&app, &ann).await;
    let (mut other, mut bobs) = (Browser::signed_in(&app, &ann).await, Browser::signed_in(&app, &bob).await);
    one.post("/sign-out", &[("everywhere", "yes")]).await.leads_to("/sign-in");
    other.get("/").await.leads_to("/sign-in");
    bobs.get("/").await.page(200);
    assert_eq!(app.get(&ann.viewer, "/v1/me").await.status, 200, "programs go on");
}

#[tokio::test]
async fn a_session_ends_with_the_token_that_began_it_and_with_its_user() {
    let app = forgetful().await;
    let ann = app.user("ann", "UTC").await;
    let issued = app.accounts().issue_token(&context(), Actor::Command, "ann", TokenKind::Viewer, None).await.unwrap();
    let mut browser = Browser::new(&app);
    browser.post("/sign-in", &[("token", issued.token.reveal())]).await.leads_to("/");
    browser.get("/").await.page(200);
    app.accounts().tokens.revoke(&context(), Actor::Command, issued.token_id).await.unwrap();
    browser.get("/").await.leads_to("/sign-in");
    let mut other = Browser::signed_in(&app, &ann).await;
    let listed = app.accounts().tokens.list(&context(), Some(ann.user_id)).await.unwrap();
    let session: Uuid = listed.iter().max_by_key(|token| token.token_id).unwrap().token_id;
    app.accounts().tokens.revoke(&context(), Actor::Command, session).await.unwrap();
    other.get("/").await.leads_to("/sign-in");
    let mut third = Browser::signed_in(&app, &ann).await;
    app.accounts().users.revoke(&context(), Actor::Command, "ann").await.unwrap();
    third.get("/").await.leads_to("/sign-in");
}

#[tokio::test]
async fn a_session_goes_on_for_thirty_days_and_its_cookie_is_a_new_one_every_day() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let first = browser.cookie().to_owned();
    let at = |hours| instant(NOW) + TimeDelta::hours(hours);
    app.clock.set(at(23));
    assert_eq!(browser.get("/").await.header("set-cookie"), "");
    app.clock.set(at(24));
    let renewed = browser.get("/").await;
    assert!(renewed.header("set-cookie").contains("Max-Age=2505600"), "{}", renewed.header("set-cookie"));
    assert_ne!(browser.cookie(), first);
    assert_eq!(browser.get("/").await.header("set-cookie"), "");
    app.clock.set(at(30 * 24 - 1));
    browser.get("/").await.page(200);
    app.clock.set(at(30 * 24));
    browser.get("/").await.leads_to("/sign-in");
    browser.with_cookie(&first).get("/").await.leads_to("/sign-in");
}

#[tokio::test]
async fn a_session_is_no_bearer_token_and_a_bearer_token_opens_no_page() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let browser = Browser::signed_in(&app, &ann).await;
    let value = browser.cookie().split_once('=').unwrap().1;
    app.get(value, "/v1/me").await.expect_problem(401, "unauthorized");
    let reply = app.request(reqwest::Method::GET, "/v1/me").header("cookie", browser.cookie()).send().await;
    reply.expect_problem(401, "unauthorized");
    let shown = app.get(&ann.viewer, "/usage.csv").await;
    assert!(String::from_utf8_lossy(&shown.body).contains("Sign in"), "it was led to the page that asks to sign in");
}

#[tokio::test]
async fn a_code_that_is_made_up_by_another_key_is_refused_by_commands_too() {
    let app = TestApp::start().await;
    app.user("ann", "UTC").await;
    let refused = app.accounts().sign_ins.begin_with_code(&context(), "nonsense").await.unwrap_err();
    assert_eq!(refused.code(), Code::Invalid);
    let refused = app.accounts().sign_ins.code_for(&context(), "nobody").await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}
