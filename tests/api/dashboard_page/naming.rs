//! Names on the settings: of devices, which are changed there, and labels of tokens, which are issued there.

use reqwest::Method;
use serde_json::json;
use std::time::Duration;

use super::{Browser, between, unescaped};
use crate::support::TestApp;

/// An app that looks tokens up again at once, so that a revocation needs no waiting for.
async fn forgetful() -> TestApp {
    TestApp::start_with(|settings| settings.token_memory = Duration::ZERO).await
}

#[tokio::test]
async fn a_device_is_renamed_on_the_page_and_by_a_page_of_before_it_is_not() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let laptop = app.device(&ann, "laptop").await;
    app.device(&ann, "tower").await;
    let (mut one, mut other) = (Browser::signed_in(&app, &ann).await, Browser::signed_in(&app, &ann).await);
    let path = format!("/settings/devices/{}/rename", laptop.device_id);
    one.post(&path, &[("name", " laptop of work "), ("former_name", "laptop")]).await.leads_to("/settings");
    assert!(one.get("/settings").await.page(200).contains(">laptop of work</a>"));
    // The other tab still shows the former name. What was typed there is kept, beside the present one.
    let stale = other.post(&path, &[("name", "laptop of home"), ("former_name", "laptop")]).await;
    let page = unescaped(stale.page(409));
    assert!(page.contains("is called “laptop of work” by now") && page.contains("value=\"laptop of home\""), "{page}");
    assert!(page.contains("name=\"former_name\" value=\"laptop of work\""), "{page}");
    other.post(&path, &[("name", "laptop of home"), ("former_name", "laptop of work")]).await.leads_to("/settings");
    // A name in use, and a device of somebody else.
    let taken = one.post(&path, &[("name", "tower"), ("former_name", "laptop of home")]).await;
    assert!(taken.page(409).contains("already has an active device"), "{}", taken.text);
    let mut bobs = Browser::signed_in(&app, &bob).await;
    bobs.post(&path, &[("name", "mine"), ("former_name", "laptop of home")]).await.page(404);
    let names = app.ask("select string_agg(name, ',' order by device_id) from account.device").await;
    assert_eq!(names, ["laptop of home,tower"]);
}

#[tokio::test]
async fn names_in_every_script_are_text_and_longer_ones_are_kept_in_the_field() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let path = format!("/settings/devices/{}/rename", laptop.device_id);
    let mut former = "laptop".to_owned();
    for script in ["x", "é", "長", "ع", "ह", "א", "🙂", "\u{1F1E9}", "ﷺ"] {
        let name = script.repeat(100);
        browser.post(&path, &[("name", &name), ("former_name", &former)]).await.leads_to("/settings");
        assert!(browser.get("/settings").await.page(200).contains(&format!(">{name}</a>")), "{script}");
        former = name;
        let long = script.repeat(256);
        for (path, field) in [(path.as_str(), "name"), ("/settings/devices", "name"), ("/settings/tokens", "label")] {
            let former = ("former_name", former.as_str());
            let fields = [(field, long.as_str()), former];
            let refused = browser.post(path, if path.ends_with("rename") { &fields[..] } else { &fields[..1] }).await;
            let page = refused.page(422);
            assert!(page.contains("1 to 100 characters") && page.contains(&format!("value=\"{long}\"")), "{script}");
            assert!(page.contains("role=\"alert\"") && page.contains("aria-invalid=\"true\""), "{script}");
        }
    }
    let script = "<script>alert(1)</script>\"'&";
    browser.post(&path, &[("name", script), ("former_name", &former)]).await.leads_to("/settings");
    let merges = format!("/settings/merges?from={}", laptop.device_id);
    let usage = format!("/settings/usage?device={}", laptop.device_id);
    app.device(&ann, "tower").await;
    for path in ["/settings", "/", merges.as_str(), usage.as_str()] {
        let shown = browser.get(path).await;
        assert!(!shown.page(200).contains("<script>alert"), "{path}");
        assert!(unescaped(&shown.text).contains(script), "{path}");
    }
    for bad in ["", "  ", "a\nb", "a\u{0}b", "\u{85}"] {
        let refused = browser.post(&path, &[("name", bad), ("former_name", script)]).await;
        assert!(refused.page(422).contains("role=\"alert\""), "{bad:?}");
    }
    assert_eq!(app.ask("select name from account.device order by device_id").await[0], script);
}

#[tokio::test]
async fn a_token_is_issued_under_a_label_shown_once_and_revoked() {
    let app = forgetful().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let (mut browser, mut bobs) = (Browser::signed_in(&app, &ann).await, Browser::signed_in(&app, &bob).await);
    let label = "grafana <b>&</b>";
    let shown = browser.post("/settings/tokens", &[("label", label)]).await;
    let token = between(shown.page(200), "<code id=\"secret\">", "</code>").to_owned();
    assert!(token.starts_with("hhv_"), "not a viewer token");
    assert_eq!(shown.header("cache-control"), "no-store");
    assert!(unescaped(&shown.text).contains(&format!("curl -f -H 'Authorization: Bearer {token}'")), "{}", shown.text);
    app.get(&token, "/v1/me").await.expect_ok();
    app.get(&token, "/v1/users").await.expect_problem(403, "wrong_principal");
    app.note_token_uses().await;
    let listed = browser.get("/settings").await;
    let page = unescaped(listed.page(200));
    assert!(page.contains(label) && !page.contains(&token) && page.contains("A browser, this one"), "{page}");
    assert!(!listed.text.contains("<b>&"), "a label is text");
    assert!(!unescaped(bobs.get("/settings").await.page(200)).contains(label));
    let id = app.ask("select token_id::text from account.token where label is not null").await.remove(0);
    let revoke = format!("/settings/tokens/{id}/revoke");
    bobs.post(&revoke, &[]).await.page(404);
    app.get(&token, "/v1/me").await.expect_ok();
    browser.post(&revoke, &[]).await.leads_to("/settings");
    app.get(&token, "/v1/me").await.expect_problem(401, "unauthorized");
    browser.post(&revoke, &[]).await.page(404);
    let acts = "select action from ops.audit where action like 'token.%' and actor_kind = 'viewer'
                order by acted_at, audit_id";
    assert_eq!(app.ask(acts).await, ["token.issue", "token.revoke"]);
    let written = "select count(*)::text from ops.audit where details::text like '%grafana%'";
    assert_eq!(app.ask(written).await, ["0"], "no label is in the audit");
}

#[tokio::test]
async fn nobody_gets_more_than_a_hundred_tokens_by_asking_for_them() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    app.tell(&format!(
        "insert into account.token (token_hash, token_id, kind, user_id)
         select sha256(('t' || n)::bytea), gen_random_uuid(), 'viewer', '{}' from generate_series(1, 98) n",
        ann.user_id
    ))
    .await;
    browser.post("/settings/tokens", &[("label", "the last")]).await.page(200);
    let refused = browser.post("/settings/tokens", &[("label", "one more")]).await;
    assert!(refused.page(409).contains("revoke some first") && refused.text.contains("value=\"one more\""));
    app.tell("update account.token set revoked_at = now() where label = 'the last'").await;
    browser.post("/settings/tokens", &[("label", "one more")]).await.page(200);
}

#[tokio::test]
async fn a_session_whose_token_is_revoked_keeps_what_was_typed_for_whoever_signs_in_again() {
    let app = forgetful().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.post("/settings/tokens", &[("label", "for the browser")]).await;
    let token = between(shown.page(200), "<code id=\"secret\">", "</code>").to_owned();
    let mut by_token = Browser::new(&app);
    by_token.post("/sign-in", &[("token", &token)]).await.leads_to("/");
    let id = app.ask("select token_id::text from account.token where label is not null").await.remove(0);
    browser.post(&format!("/settings/tokens/{id}/revoke"), &[]).await.leads_to("/settings");
    let path = format!("/settings/devices/{}/rename", laptop.device_id);
    let asked = by_token.post(&path, &[("name", "長い名前 & co"), ("former_name", "laptop")]).await;
    assert!(asked.page(401).contains("kept on this page"), "{}", asked.text);
    let held = unescaped(between(&asked.text, "name=\"held\" value=\"", "\""));
    // The revoked token begins nothing, and what was typed is still there.
    let again = by_token.post("/sign-in", &[("token", &token), ("held", &held), ("held_to", &path)]).await;
    assert_eq!(unescaped(between(again.page(401), "name=\"held\" value=\"", "\"")), held);
    let again = by_token.post("/sign-in", &[("token", &ann.viewer), ("held", &held), ("held_to", &path)]).await;
    assert!(unescaped(again.page(200)).contains("value=\"長い名前 & co\""), "{}", again.text);
    assert_eq!(app.ask("select name from account.device").await, ["laptop"], "nothing was done yet");
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(held.as_bytes()).into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    by_token.post(&path, &fields).await.leads_to("/settings");
    assert_eq!(app.ask("select name from account.device").await, ["長い名前 & co"]);
}

#[tokio::test]
async fn what_a_zone_does_is_said_before_and_that_it_is_on_its_way_until_it_is_done() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let laptop = app.device(&ann, "laptop").await;
    let body = json!({"buckets": [{"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt", "input_tokens": 7}]});
    app.post_buckets(&laptop.token, &body).await.expect_ok();
    app.drain().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let before = browser.get("/settings").await;
    assert!(before.page(200).contains("What another zone does") && !before.text.contains("being rebuilt"));
    browser.post("/settings/zone", &[("time_zone", "Asia/Kathmandu")]).await.leads_to("/settings");
    let pending = browser.get("/settings").await;
    let page = pending.page(200);
    assert!(
        page.contains("being rebuilt") && page.contains("show the days of <span class=\"name\">UTC</span>"),
        "{page}"
    );
    assert!(page.contains("value=\"Asia/Kathmandu\""), "{page}");
    app.drain().await;
    assert!(!browser.get("/settings").await.page(200).contains("being rebuilt"));
    // What the API changes is shown as well.
    let change = json!({"time_zone": "UTC"});
    app.request(Method::PATCH, "/v1/me").bearer(&ann.viewer).json(&change).send().await.expect_ok();
    assert!(browser.get("/settings").await.page(200).contains("being rebuilt"));
}
