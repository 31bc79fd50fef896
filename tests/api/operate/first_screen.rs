//! What operators see first, and the lists: the numbers are those of the API, and a switch is thrown as it was seen.

use chrono::TimeDelta;
use serde_json::json;

use super::{between, fields_of, plain, sent};
use crate::dashboard_page::{Browser, numbers};
use crate::support::rollups::Usage;
use crate::support::{NOW, TestApp, instant};

#[tokio::test]
async fn what_waits_and_what_was_set_aside_is_what_the_api_says_and_a_replay_heals_it() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:30:00Z", 5)]).await;
    let mut browser = Browser::operating(&app, &ann).await;
    assert_eq!(numbers(browser.get("/operate").await.page(200)), [1, 0]);
    app.tell("update usage.outbox set parked_at = now(), attempts = 10, last_error = '23514 daily_pkey'").await;
    let shown = browser.get("/operate").await;
    let page = shown.page(200);
    assert_eq!(numbers(page), [0, 1]);
    let status = app.get(&ann.operator, "/v1/status").await.expect_ok().clone();
    assert_eq!(status["backlog"][0]["parked"], 1);
    for said in ["2026-11-20", "23514 daily_pkey", &ann.user_id.to_string(), "10 times"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // The button plans, and nothing more; sent twice it plans once.
    let form = fields_of(page, "/operate/jobs");
    let planned = browser.post("/operate/jobs", &sent(&form)).await;
    assert_eq!(planned.status, 303, "{}", planned.text);
    let path = planned.header("location").to_owned();
    browser.post("/operate/jobs", &sent(&form)).await.leads_to(&path);
    assert_eq!(app.ask("select action || ' ' || state from backfill.job").await, ["replay planned"]);
    assert_eq!(app.ask("select count(*)::text from rollup.daily").await, ["0"]);
    let job = browser.get(&path).await;
    let execute = format!("{path}/execute");
    let form = fields_of(job.page(200), &execute);
    browser.post(&execute, &sent(&form)).await.leads_to(&path);
    app.work_and_fold().await;
    assert!(browser.get(&path).await.page(200).contains("succeeded"));
    assert_eq!(numbers(browser.get("/operate").await.page(200)), [0, 0]);
    assert_eq!(app.ask("select sum(input_tokens)::text from rollup.daily").await, ["5"]);
}

#[tokio::test]
async fn a_switch_says_who_threw_it_and_why_and_is_thrown_as_it_was_seen() {
    let app = TestApp::start().await;
    app.refresh_switches().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("<b>bob</b>", "UTC").await);
    let (mut anns, mut bobs) = (Browser::operating(&app, &ann).await, Browser::operating(&app, &bob).await);
    let path = "/operate/switches/ingest";
    let form = |page: &str, reason: &str| {
        let mut fields = fields_of(page, path);
        fields.iter_mut().filter(|(name, _)| name == "reason").for_each(|(_, value)| reason.clone_into(value));
        fields
    };
    let first = form(anns.get("/operate").await.page(200), "<script>alert(1)</script>");
    let second = form(bobs.get("/operate").await.page(200), "bob knows better");
    anns.post(path, &sent(&first)).await.leads_to("/operate");
    assert!(!app.switches().is_on(halfhour::kernel::operations::switches::Switch::Ingest));
    let page = anns.get("/operate").await;
    let said = plain(between(page.page(200), "Switched off by", "</p>"));
    assert!(said.contains(">ann<") && said.contains("<script>alert(1)</script>"), "{said}");
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    // Another tab that has not seen it, and the same form once more, do nothing and say so.
    app.clock.set(instant(NOW) + TimeDelta::seconds(5));
    for (browser, form) in [(&mut bobs, &second), (&mut anns, &first)] {
        let stale = browser.post(path, &sent(form)).await;
        let page = stale.page(412);
        assert!(page.contains("was thrown since you looked at it") && page.contains("Nothing was done"), "{page}");
    }
    assert_eq!(app.ask("select reason from ops.switch").await, ["<script>alert(1)</script>"]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'switch.set'").await, ["1"]);
    // Once it was looked at, it is thrown again, and the page names the other one.
    let third = form(bobs.get("/operate").await.page(200), "the disk has room again");
    assert!(third.contains(&("is_on".to_owned(), "yes".to_owned())), "{third:?}");
    bobs.post(path, &sent(&third)).await.leads_to("/operate");
    let page = anns.get("/operate").await;
    let said = plain(between(page.page(200), "Switched on by", "</p>"));
    assert!(said.contains("<b>bob</b>") && !page.text.contains("<b>bob"), "{said}");
    let stored = app.get(&ann.operator, "/v1/switches/ingest").await.expect_ok().clone();
    assert_eq!((&stored["is_on"], &stored["reason"]), (&json!(true), &json!("the disk has room again")));
}

#[tokio::test]
async fn of_many_who_throw_a_switch_at_once_as_they_saw_it_one_does() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let browser = Browser::operating(&app, &ann).await;
    let throws = (0..8).map(|number| {
        let mut browser = browser.with_cookie(browser.cookie());
        async move {
            let reason = format!("number {number}");
            let form = [("is_on", "no"), ("seen", "never"), ("reason", reason.as_str())];
            browser.post("/operate/switches/relay", &form).await.status
        }
    });
    let mut statuses = futures_util::future::join_all(throws).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'switch.set'").await, ["1"]);
}

#[tokio::test]
async fn a_reason_that_is_missing_is_asked_for_and_nothing_is_thrown() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    for (reason, word) in [(" ", "1 to 500"), (&*"x".repeat(501), "1 to 500"), ("a\u{7}b", "control characters")] {
        let form = [("is_on", "no"), ("seen", "never"), ("reason", reason)];
        let refused = browser.post("/operate/switches/backfill", &form).await;
        assert!(refused.page(422).contains(word) && refused.text.contains("role=\"alert\""), "{}", refused.text);
        assert!(plain(&refused.text).contains(&format!("value=\"{reason}\"")), "what was filled in is still there");
    }
    browser.post("/operate/switches/nothing", &[("is_on", "no"), ("seen", "never"), ("reason", "x")]).await.page(404);
    assert_eq!(app.ask("select count(*)::text from ops.switch").await, ["0"]);
}

#[tokio::test]
async fn ten_thousand_users_are_listed_page_by_page_and_each_once() {
    let app = TestApp::start_with(|settings| settings.limits.operator = 0).await;
    let ann = app.user("ann", "UTC").await;
    app.tell(
        "insert into account.user (user_id, name, time_zone)
         select gen_random_uuid(), 'user ' || n, 'UTC' from generate_series(1, 10000) n",
    )
    .await;
    let mut browser = Browser::operating(&app, &ann).await;
    let (mut path, mut found, mut pages) = ("/operate/users".to_owned(), std::collections::BTreeSet::new(), 0);
    loop {
        let shown = browser.get(&path).await;
        let page = shown.page(200);
        let rows = page.split("<th scope=\"row\"><span class=\"name\">").skip(1);
        let names: Vec<String> = rows.map(|row| plain(row.split('<').next().unwrap())).collect();
        assert!(names.len() <= 100 && shown.text.len() < 100_000, "{} names, {}", names.len(), shown.text.len());
        pages += 1;
        for name in names {
            assert!(found.insert(name.clone()), "{name} twice");
        }
        let Some(next) = page.split("/operate/users?cursor=").nth(1) else { break };
        path = format!("/operate/users?cursor={}", next.split('"').next().unwrap());
    }
    assert_eq!((found.len(), pages), (10_001, 101));
    browser.get("/operate/users?cursor=nonsense").await.page(400);
    browser.get("/operate/users?sort=name").await.page(422);
}

#[tokio::test]
async fn books_and_what_they_do_not_price_are_listed() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    app.begin_prices().await;
    let bucket = json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "nobody<i>knows", "input_tokens": 1_234_567});
    app.post_buckets(&device.token, &json!({ "buckets": [bucket] })).await.expect_ok();
    app.drain().await;
    let mut browser = Browser::operating(&app, &ann).await;
    let shown = browser.get("/operate/prices").await;
    assert!(shown.page(200).contains("Book 1") && shown.text.contains("in force"), "{}", shown.text);
    let shown = browser.get("/operate/coverage").await;
    assert_eq!(numbers(shown.page(200)), [1_234_567, 1_234_567]);
    assert!(plain(&shown.text).contains("nobody<i>knows") && !shown.text.contains("<i>"), "{}", shown.text);
    assert!(browser.get("/operate").await.page(200).contains("Book 1"));
}
