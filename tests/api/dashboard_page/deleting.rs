//! Deleting on the page: how much it is before, what confirms it, and what it must not take.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Browser, between, numbers, unescaped};
use crate::support::{TestApp, TestDevice, TestUser};

const BUCKETS: &str = "select count(*)::text from usage.bucket";

fn bucket(hour: &str, source: &str) -> Value {
    json!({"hour_start": hour, "source": source, "model": "m", "input_tokens": 7})
}

/// Ann with three buckets of a laptop and one of a tower, and Bob with one.
async fn with_usage() -> (TestApp, TestUser, [TestDevice; 2], TestUser) {
    let app = TestApp::start_with(|settings| settings.token_memory = Duration::ZERO).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    let (laptop, tower) = (app.device(&ann, "laptop").await, app.device(&ann, "tower").await);
    let theirs = app.device(&bob, "laptop").await;
    let days = ["2026-11-18T10:30:00Z", "2026-11-19T10:30:00Z", "2026-11-20T10:30:00Z"];
    let body = json!({"buckets": days.map(|hour| bucket(hour, "codex"))});
    app.post_buckets(&laptop.token, &body).await.expect_ok();
    for device in [&tower, &theirs] {
        let body = json!({"buckets": [bucket("2026-11-20T10:30:00Z", "claude-code")]});
        app.post_buckets(&device.token, &body).await.expect_ok();
    }
    app.drain().await;
    (app, ann, [laptop, tower], bob)
}

#[tokio::test]
async fn how_much_it_is_is_said_before_it_is_deleted_and_it_is_no_more() {
    let (app, ann, [laptop, _], _) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let id = laptop.device_id.to_string();
    assert!(browser.get("/settings/usage").await.page(200).contains("Count it"));
    for (query, count, words) in [
        (format!("device={id}"), 3, "the usage of laptop"),
        (format!("device={id}&source=&from=&to="), 3, "the usage of laptop"),
        (format!("device={id}&from=2026-11-19"), 2, "of laptop from 2026-11-19 on"),
        (format!("device={id}&from=2026-11-18&to=2026-11-19"), 2, "of laptop from 2026-11-18 to 2026-11-19"),
        ("source=claude-code".to_owned(), 1, "the usage by claude-code"),
        ("to=2026-11-18".to_owned(), 1, "the usage up to 2026-11-18"),
        ("everything=true".to_owned(), 4, "all of your usage"),
        (format!("device={id}&source=amp"), 0, "There is nothing to delete"),
    ] {
        let shown = browser.get(&format!("/settings/usage?{query}")).await;
        assert_eq!(numbers(shown.page(200))[0], count, "{query}");
        assert!(shown.text.contains(words), "{query}: {}", shown.text);
        assert_eq!(shown.text.contains("name=\"confirm\""), count > 0 && !query.starts_with("device"), "{query}");
    }
    assert_eq!(app.ask(BUCKETS).await, ["5"], "to look deletes nothing");
    let fields = [("device", id.as_str()), ("to", "2026-11-19"), ("seen", "2")];
    let done = browser.post("/settings/usage", &fields).await;
    assert_eq!(numbers(done.page(200))[0], 2);
    assert!(done.text.contains("Deleted") && done.text.contains("2026-11-18 10:30:00 UTC"), "{}", done.text);
    app.drain().await;
    assert_eq!(numbers(browser.get("/").await.page(200))[0], 14);
    // A tracker that sends it again is told so, and the same form once more deletes nothing.
    let again = app.post_buckets(&laptop.token, &json!({"buckets": [json!({"hour_start": "2026-11-18T10:30:00Z", "source": "codex", "model": "m", "input_tokens": 7, "observed_at": "2026-11-18T11:00:00Z"})]})).await;
    assert_eq!(again.expect_ok()["erased"], 1);
    assert_eq!(numbers(browser.post("/settings/usage", &fields).await.page(200))[0], 0);
    assert_eq!(app.ask(BUCKETS).await, ["3"]);
}

#[tokio::test]
async fn more_than_was_seen_is_not_deleted() {
    let (app, ann, [laptop, _], _) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let id = laptop.device_id.to_string();
    let seen = browser.get(&format!("/settings/usage?device={id}")).await;
    let seen = between(&seen.text, "name=\"seen\" value=\"", "\"").to_owned();
    let body = json!({"buckets": [bucket("2026-11-20T11:00:00Z", "codex")]});
    app.post_buckets(&laptop.token, &body).await.expect_ok();
    let fields = [("device", id.as_str()), ("seen", seen.as_str())];
    let stale = browser.post("/settings/usage", &fields).await;
    let page = stale.page(409);
    assert!(page.contains("more by now") && page.contains("name=\"seen\" value=\"4\""), "{page}");
    assert_eq!(app.ask(BUCKETS).await, ["6"]);
    browser.post("/settings/usage", &[("device", &id), ("seen", "4")]).await.page(200);
    assert_eq!(app.ask(BUCKETS).await, ["2"]);
    for unseen in [
        vec![("device", id.as_str())],
        vec![("device", id.as_str()), ("seen", "")],
        vec![("device", id.as_str()), ("seen", "-1")],
    ] {
        browser.post("/settings/usage", &unseen).await.page(422);
    }
}

#[tokio::test]
async fn what_names_no_device_is_deleted_only_under_ones_name() {
    let (app, ann, [laptop, _], bob) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (fields, status) in [
        (vec![("everything", "true"), ("seen", "4")], 422),
        (vec![("everything", "true"), ("seen", "4"), ("confirm", "Ann")], 422),
        (vec![("source", "claude-code"), ("seen", "1"), ("confirm", "bob")], 422),
        (vec![("seen", "9"), ("confirm", "ann")], 422),
        (vec![("everything", "true"), ("source", "codex"), ("seen", "9"), ("confirm", "ann")], 422),
        (vec![("from", "2026-11-20"), ("to", "2026-11-19"), ("seen", "9"), ("confirm", "ann")], 422),
        (vec![("from", "2026-02-30"), ("seen", "9"), ("confirm", "ann")], 422),
        (vec![("source", "Emacs!"), ("seen", "9"), ("confirm", "ann")], 422),
    ] {
        let refused = browser.post("/settings/usage", &fields).await;
        assert!(refused.page(status).contains("role=\"alert\""), "{fields:?}");
    }
    let typed = browser.post("/settings/usage", &[("everything", "true"), ("seen", "4"), ("confirm", "anne")]).await;
    assert!(typed.text.contains("value=\"anne\"") && typed.text.contains("letter by letter"), "{}", typed.text);
    assert_eq!(app.ask(BUCKETS).await, ["5"]);
    // Bob on Ann's browser, with her form.
    let mut bobs = Browser::signed_in(&app, &bob).await;
    let hers = [("everything", "true"), ("seen", "4"), ("confirm", "ann")];
    bobs.post("/settings/usage", &hers).await.page(422);
    let id = laptop.device_id.to_string();
    assert_eq!(numbers(bobs.post("/settings/usage", &[("device", &id), ("seen", "9")]).await.page(200))[0], 0);
    assert_eq!(app.ask(BUCKETS).await, ["5"]);
    assert_eq!(numbers(browser.post("/settings/usage", &hers).await.page(200))[0], 4);
    assert_eq!(app.ask(BUCKETS).await, ["1"], "what is Bob's stays");
}

#[tokio::test]
async fn everything_goes_under_ones_name_and_nothing_of_anybody_else() {
    let (app, ann, _, bob) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/settings/erase").await;
    // Devices, tokens and browsers, link codes, buckets.
    assert_eq!(numbers(shown.page(200))[..4], [2, 5, 0, 4], "{}", shown.text);
    for typed in ["", "Ann", "ann ", "bob", "<script>alert(1)</script>"] {
        let refused = browser.post("/settings/erase", &[("confirm", typed)]).await;
        let page = refused.page(422);
        assert!(page.contains("role=\"alert\"") && !page.contains("<script>alert"), "{page}");
        assert!(unescaped(page).contains(&format!("value=\"{typed}\"")), "{page}");
    }
    browser.post("/settings/erase", &[]).await.page(422);
    browser.post("/settings/erase", &[("confirm", "ann"), ("dry_run", "true")]).await.page(422);
    assert_eq!(app.ask("select string_agg(name, ',' order by name) from account.user").await, ["ann,bob"]);
    let gone = browser.post("/settings/erase", &[("confirm", "ann")]).await;
    assert!(gone.page(200).contains("no user of this server any more"), "{}", gone.text);
    assert_eq!((gone.header("cache-control"), browser.cookie()), ("no-store", ""));
    browser.get("/").await.leads_to("/sign-in");
    browser.post("/sign-in", &[("token", &ann.viewer)]).await.page(401);
    app.persons().run_pass().await.unwrap();
    assert_eq!(app.ask("select name from account.user").await, ["bob"]);
    assert_eq!(app.ask("select distinct user_id::text from usage.bucket").await, [bob.user_id.to_string()]);
    Browser::signed_in(&app, &bob).await.get("/").await.page(200);
}

#[tokio::test]
async fn the_last_who_operates_is_told_so_and_stays() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let refused = browser.post("/settings/erase", &[("confirm", "ann")]).await;
    let page = refused.page(409);
    assert!(page.contains("Nobody else has an operator") && page.contains("value=\"ann\""), "{page}");
    browser.get("/settings").await.page(200);
    assert_eq!(app.ask("select name from account.user").await, ["ann"]);
}

#[tokio::test]
async fn a_deletion_whose_session_ended_is_done_by_its_person_only() {
    let (app, ann, _, bob) = with_usage().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    Browser::signed_in(&app, &ann).await.post("/sign-out", &[("everywhere", "yes")]).await.leads_to("/sign-in");
    let asked = browser.post("/settings/erase", &[("confirm", "ann")]).await;
    let held = unescaped(between(asked.page(401), "name=\"held\" value=\"", "\""));
    assert_eq!(held, "confirm=ann");
    let fields = [("token", bob.viewer.as_str()), ("held", held.as_str()), ("held_to", "/settings/erase")];
    let offered = browser.post("/sign-in", &fields).await;
    assert!(offered.page(200).contains("nothing was done yet"), "{}", offered.text);
    browser.post("/settings/erase", &[("confirm", "ann")]).await.page(422);
    assert_eq!(app.ask("select string_agg(name, ',' order by name) from account.user").await, ["ann,bob"]);
}
