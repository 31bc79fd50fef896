//! Settings: what each button does, and that nothing that was filled in is lost.

use super::{Browser, between};
use crate::support::TestApp;

#[tokio::test]
async fn a_device_that_is_added_on_the_page_reports_with_the_token_that_is_shown_once() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.post("/settings/devices", &[("name", "laptop"), ("platform", "linux")]).await;
    let page = shown.page(200);
    assert_eq!(shown.header("cache-control"), "no-store");
    let token = between(page, "<code id=\"secret\">", "</code>");
    for tracker in ["Claude Code", "Codex", "vibe-usage", "vibeusage", "TokenTracker"] {
        assert!(page.contains(tracker), "{tracker}");
    }
    let body = serde_json::json!({"buckets": []});
    app.post_buckets(token, &body).await.expect_ok();
    let settings = browser.get("/settings").await;
    assert!(settings.page(200).contains(">laptop<") && !settings.text.contains(token));
    let again = browser.post("/settings/devices", &[("name", "laptop"), ("platform", "linux")]).await;
    assert!(
        again.page(409).contains("already has an active device") && again.text.contains("value=\"laptop\""),
        "{}",
        again.text
    );
    assert_eq!(app.ask("select count(*)::text from account.device").await, ["1"]);
}

#[tokio::test]
async fn a_device_is_rotated_and_revoked_by_its_owner_only() {
    let app = TestApp::start_with(|settings| settings.token_memory = std::time::Duration::ZERO).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let laptop = app.device(&ann, "laptop").await;
    let (mut anns, mut bobs) = (Browser::signed_in(&app, &ann).await, Browser::signed_in(&app, &bob).await);
    let path = |act: &str| format!("/settings/devices/{}/{act}", laptop.device_id);
    for act in ["rotate", "revoke"] {
        bobs.post(&path(act), &[]).await.page(404);
    }
    let rotated = anns.post(&path("rotate"), &[]).await;
    let token = between(rotated.page(200), "<code id=\"secret\">", "</code>").to_owned();
    let body = serde_json::json!({"buckets": []});
    app.post_buckets(&token, &body).await.expect_ok();
    anns.post(&path("revoke"), &[]).await.leads_to("/settings");
    app.post_buckets(&token, &body).await.expect_problem(401, "unauthorized");
    assert!(anns.get("/settings").await.page(200).contains("revoked 20"));
    anns.post(&path("rotate"), &[]).await.page(409);
    anns.post("/settings/devices/x/revoke", &[]).await.page(404);
}

#[tokio::test]
async fn a_zone_is_changed_and_a_wrong_one_is_still_filled_in() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let refused = browser.post("/settings/zone", &[("time_zone", "Mars/Phobos")]).await;
    assert!(
        refused.page(422).contains("value=\"Mars/Phobos\"") && refused.text.contains("role=\"alert\""),
        "{}",
        refused.text
    );
    browser.post("/settings/zone", &[("time_zone", "Europe/Berlin")]).await.leads_to("/settings");
    assert_eq!(app.get(&ann.viewer, "/v1/me").await.expect_ok()["time_zone"], "Europe/Berlin");
}

#[tokio::test]
async fn a_link_code_of_the_page_makes_a_device() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.post("/settings/link-codes", &[]).await;
    let code = between(shown.page(200), "<code id=\"secret\">", "</code>");
    let exchange = serde_json::json!({"code": code, "request_id": "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2", "device_name": "tablet"});
    let reply = app.request(reqwest::Method::POST, "/v1/link-codes/exchange").json(&exchange).send().await;
    assert_eq!(reply.status, 201, "{:?}", reply.json);
}

#[tokio::test]
async fn tokens_and_browsers_are_listed_and_revoked_and_those_of_others_are_not() {
    let app = TestApp::start_with(|settings| settings.token_memory = std::time::Duration::ZERO).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let mut browser = Browser::signed_in(&app, &ann).await;
    let mut other = Browser::signed_in(&app, &ann).await;
    let mut bobs = Browser::signed_in(&app, &bob).await;
    let page = browser.get("/settings").await;
    assert_eq!(page.page(200).matches("A browser").count(), 2, "{}", page.text);
    let ids = app.ask("select token_id::text from account.token where is_session order by token_id").await;
    bobs.post(&format!("/settings/tokens/{}/revoke", ids[1]), &[]).await.page(404);
    other.get("/").await.page(200);
    browser.post(&format!("/settings/tokens/{}/revoke", ids[1]), &[]).await.leads_to("/settings");
    other.get("/").await.leads_to("/sign-in");
    let operator = app.ask("select token_id::text from account.token where kind = 'operator' limit 1").await;
    browser.post(&format!("/settings/tokens/{}/revoke", operator[0]), &[]).await.page(404);
    assert_eq!(app.get(&ann.operator, "/v1/users").await.status, 200);
}

#[tokio::test]
async fn a_form_whose_session_ends_meanwhile_is_kept_and_sent_only_by_its_person() {
    let app = TestApp::start_with(|settings| settings.token_memory = std::time::Duration::ZERO).await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let mut elsewhere = Browser::signed_in(&app, &ann).await;
    elsewhere.post("/sign-out", &[("everywhere", "yes")]).await.leads_to("/sign-in");
    let name = "l'ordinateur & \"co\"";
    let asked = browser.post("/settings/devices", &[("name", name), ("platform", "")]).await;
    let page = asked.page(401);
    assert!(page.contains("kept on this page") && page.contains("name=\"held\""), "{page}");
    let held = between(page, "name=\"held\" value=\"", "\"").replace("&#38;", "&").replace("&amp;", "&");
    let to = between(page, "name=\"held_to\" value=\"", "\"");
    let again = browser.post("/sign-in", &[("token", &ann.viewer), ("held", &held), ("held_to", to)]).await;
    let offered = again.page(200);
    assert!(offered.contains("nothing was done yet") && offered.contains("action=\"/settings/devices\""), "{offered}");
    assert_eq!(app.ask("select count(*)::text from account.device").await, ["0"]);
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(held.as_bytes()).into_owned().collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields[0], ("name", name));
    browser.post("/settings/devices", &fields).await.page(200);
    assert_eq!(app.ask("select name from account.device").await, [name]);
}
