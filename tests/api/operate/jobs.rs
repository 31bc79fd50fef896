//! Jobs on the page: planned, looked at row by row, executed, stopped, taken back, each as it was seen.

use serde_json::json;

use super::{fields_of, plain, sent};
use crate::backfill::{bucket, import};
use crate::dashboard_page::{Browser, numbers};
use crate::support::rollups::Usage;
use crate::support::{TestApp, TestDevice, TestUser};

/// A planned import of so many half hours, and where its page is.
async fn planned(app: &TestApp, user: &TestUser, device: &TestDevice, rows: usize) -> String {
    let hour =
        |number: usize| format!("2026-11-{:02}T{:02}:{:02}:00Z", 1 + number / 48, number / 2 % 24, number % 2 * 30);
    let buckets: Vec<_> = (0..rows).map(|number| bucket(user, device, &hour(number), "gpt-5.2-codex", 7)).collect();
    let job = app.planned(&user.operator, &import(&buckets)).await;
    format!("/operate/jobs/{}", job["id"].as_str().unwrap())
}

/// Sends a form of a page that was shown.
async fn press(browser: &mut Browser, page: &str, path: &str) -> crate::dashboard_page::Shown {
    let form = fields_of(page, path);
    browser.post(path, &sent(&form)).await
}

#[tokio::test]
async fn a_plan_is_looked_at_row_by_row_executed_and_taken_back() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-01T00:00:00Z", 5)]).await;
    app.drain().await;
    let path = planned(&app, &ann, &device, 150).await;
    let mut browser = Browser::operating(&app, &ann).await;
    let listed = browser.get("/operate/jobs").await;
    assert!(listed.page(200).contains(&path) && listed.text.contains("ticket 7"), "{}", listed.text);
    let first = browser.get(&path).await;
    let page = first.page(200);
    assert_eq!(page.matches("data-label=\"Effect\"").count(), 100, "a page of rows");
    assert!(plain(page).contains("planned") && page.contains("effect-inserted"), "{page:.4000}");
    let next = page.split(&format!("{path}?cursor=")).nth(1).unwrap().split('"').next().unwrap();
    let second = browser.get(&format!("{path}?cursor={next}")).await;
    assert_eq!(second.page(200).matches("data-label=\"Effect\"").count(), 50);
    assert!(!second.text.contains("2026-11-01 00:00"), "each row once");
    // Nothing has happened by looking.
    assert_eq!(app.ask("select count(*)::text from usage.bucket").await, ["1"]);
    press(&mut browser, page, &format!("{path}/execute")).await.leads_to(&path);
    app.work_and_fold().await;
    let done = browser.get(&path).await;
    assert!(done.page(200).contains("succeeded") && !done.text.contains("/execute\""), "{:.4000}", done.text);
    assert_eq!(numbers(&done.text)[..2], [150, 150]);
    assert_eq!(app.ask("select sum(input_tokens)::text from usage.bucket").await, ["1055"]);
    press(&mut browser, &done.text, &format!("{path}/rollback")).await.leads_to(&path);
    app.work_and_fold().await;
    assert!(browser.get(&path).await.page(200).contains("rolled back"));
    assert_eq!(app.ask("select sum(input_tokens)::text from usage.bucket").await, ["5"]);
    let acts =
        "select action from ops.audit where actor_kind = 'operator' and action like 'backfill.%' order by acted_at";
    assert_eq!(app.ask(acts).await, ["backfill.plan", "backfill.execute", "backfill.rollback"]);
}

#[tokio::test]
async fn what_a_row_changes_is_said_counter_by_counter() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let before = json!({"hour_start": "2026-11-01T00:00:00Z", "source": "codex", "model": "m", "input_tokens": 1000, "output_tokens": 5});
    app.post_buckets(&device.token, &json!({ "buckets": [before] })).await.expect_ok();
    let job = app.planned(&ann.operator, &import(&[bucket(&ann, &device, "2026-11-01T00:00:00Z", "m", 30)])).await;
    let mut browser = Browser::operating(&app, &ann).await;
    let shown = browser.get(&format!("/operate/jobs/{}", job["id"].as_str().unwrap())).await;
    let page = shown.page(200).replace('\u{202f}', " ");
    for said in ["effect-lowered", "input_tokens 1 000 → 30", "output_tokens 5 → 0", ">1 005<", ">30<"] {
        assert!(page.contains(said), "{said}: {page}");
    }
}

#[tokio::test]
async fn a_tab_that_has_not_seen_what_another_did_does_nothing_and_is_shown_how_it_stands() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let path = planned(&app, &ann, &device, 3).await;
    let (mut one, mut other) = (Browser::operating(&app, &ann).await, Browser::operating(&app, &ann).await);
    let (seen, seen_too) = (one.get(&path).await, other.get(&path).await);
    press(&mut one, seen.page(200), &format!("{path}/execute")).await.leads_to(&path);
    for act in ["execute", "cancel"] {
        let stale = press(&mut other, seen_too.page(200), &format!("{path}/{act}")).await;
        let page = stale.page(412);
        assert!(
            page.contains("is running") && page.contains("Nothing was done") && page.contains("state-running"),
            "{page}"
        );
    }
    assert_eq!(app.ask("select state from backfill.job").await, ["running"]);
    // From the page that it was shown it goes on.
    let fresh = other.get(&path).await;
    press(&mut other, fresh.page(200), &format!("{path}/cancel")).await.leads_to(&path);
    assert_eq!(app.ask("select state from backfill.job").await, ["cancelled"]);
    // What cannot be done to a job in its state says so, whatever version it names.
    let version = app.ask("select version::text from backfill.job").await.remove(0);
    let refused = other.post(&format!("{path}/execute"), &[("version", &version)]).await;
    assert!(refused.page(409).contains("only a planned job"), "{}", refused.text);
}

#[tokio::test]
async fn of_many_who_execute_a_plan_at_once_one_does() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let path = planned(&app, &ann, &device, 3).await;
    let mut browser = Browser::operating(&app, &ann).await;
    let shown = browser.get(&path).await;
    let execute = format!("{path}/execute");
    let form = fields_of(shown.page(200), &execute);
    let sends = (0..8).map(|_| {
        let mut browser = browser.with_cookie(browser.cookie());
        let (execute, form) = (&execute, &form);
        async move { browser.post(execute, &sent(form)).await.status }
    });
    let mut statuses = futures_util::future::join_all(sends).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 412, 412, 412, 412, 412, 412, 412]);
    assert_eq!(app.ask("select count(*)::text from ops.audit where action = 'backfill.execute'").await, ["1"]);
    app.work_and_fold().await;
    assert_eq!(app.ask("select count(*) || ' ' || sum(input_tokens) from usage.bucket").await, ["3 21"]);
}

#[tokio::test]
async fn a_plan_whose_buckets_changed_since_is_refused_on_its_page() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let path = planned(&app, &ann, &device, 1).await;
    let mut browser = Browser::operating(&app, &ann).await;
    let shown = browser.get(&path).await;
    app.post_usage(&device, &[Usage { model: "gpt-5.2-codex", ..Usage::input("2026-11-01T00:00:00Z", 9) }]).await;
    let stale = press(&mut browser, shown.page(200), &format!("{path}/execute")).await;
    assert!(stale.page(409).contains("1 replace something else by now"), "{}", stale.text);
    assert_eq!(app.ask("select state from backfill.job").await, ["planned"]);
}

#[tokio::test]
async fn a_form_without_the_version_that_was_seen_does_nothing() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let path = planned(&app, &ann, &device, 1).await;
    let mut browser = Browser::operating(&app, &ann).await;
    for act in ["execute", "cancel", "rollback"] {
        let path = format!("{path}/{act}");
        browser.post(&path, &[]).await.page(428);
        for bad in ["", "x", "-1", "1.0", "\"1\""] {
            browser.post(&path, &[("version", bad)]).await.page(422);
        }
    }
    assert_eq!(app.ask("select state from backfill.job").await, ["planned"]);
    for nobodys in ["01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2", "x"] {
        browser.get(&format!("/operate/jobs/{nobodys}")).await.page(404);
        browser.get(&format!("/operate/jobs/{nobodys}/exceptions")).await.page(404);
        browser.post(&format!("/operate/jobs/{nobodys}/execute"), &[("version", "1")]).await.page(404);
    }
}

#[tokio::test]
async fn a_job_is_planned_on_the_page_once_and_what_is_wrong_stays_filled_in() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::operating(&app, &ann).await;
    let shown = browser.get("/operate/jobs").await;
    let mut form = fields_of(shown.page(200), "/operate/jobs");
    form.push(("action".to_owned(), "verify".to_owned()));
    let fill = |form: &mut Vec<(String, String)>, name: &str, value: &str| {
        form.iter_mut().filter(|(known, _)| known == name).for_each(|(_, filled)| value.clone_into(filled));
    };
    let script = "<script>alert('x')</script>";
    fill(&mut form, "reason", script);
    fill(&mut form, "from", "2026-11-20");
    fill(&mut form, "to", "2026-11-01");
    fill(&mut form, "user_ids", "nobody");
    let refused = browser.post("/operate/jobs", &sent(&form)).await;
    let page = refused.page(422);
    assert!(page.contains("to: `to` is before `from`") || plain(page).contains("`to` is before `from`"), "{page}");
    assert!(plain(page).contains(&format!("value=\"{script}\"")) && !page.contains("<script>alert"), "{page}");
    assert!(page.contains("value=\"nobody\"") && page.contains("value=\"2026-11-01\""), "{page}");
    assert_eq!(app.ask("select count(*)::text from backfill.job").await, ["0"]);
    // The page that was answered has the form again, with a key of its own.
    fill(&mut form, "to", "2026-11-20");
    fill(&mut form, "user_ids", &format!(" {} \r\n", ann.user_id));
    let first = browser.post("/operate/jobs", &sent(&form)).await;
    let path = first.header("location").to_owned();
    first.leads_to(&path);
    let again = futures_util::future::join_all((0..4).map(|_| {
        let mut browser = browser.with_cookie(browser.cookie());
        let form = &form;
        async move { browser.post("/operate/jobs", &sent(form)).await }
    }));
    again.await.iter().for_each(|shown| shown.leads_to(&path));
    assert_eq!(app.ask("select action || ' ' || reason from backfill.job").await, [format!("verify {script}")]);
    let shown = browser.get(&path).await;
    assert!(plain(shown.page(200)).contains(script) && !shown.text.contains("<script>alert"), "{}", shown.text);
    // Under the same key another order is refused.
    fill(&mut form, "reason", "another");
    browser.post("/operate/jobs", &sent(&form)).await.page(422);
    assert_eq!(app.ask("select count(*)::text from backfill.job").await, ["1"]);
    press(&mut browser, &shown.text, &format!("{path}/execute")).await.leads_to(&path);
    app.work_and_fold().await;
    let done = browser.get(&path).await;
    assert!(done.page(200).contains("succeeded") && done.text.contains("What was found"), "{}", done.text);
}

#[tokio::test]
async fn what_did_not_go_as_planned_is_listed_by_its_line() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    let good = bucket(&ann, &device, "2026-11-01T00:00:00Z", "m", 1).to_string();
    let bad = bucket(&ann, &device, "2026-11-01T00:10:00Z", "m", 1).to_string();
    let lines = format!("{good}\n{bad}\n<script>\n");
    let reply = app.stream(&ann.operator, "k", "from=2026-11-01&to=2026-11-02", &lines).await;
    assert_eq!(reply.status, 201, "{}", reply.json);
    let path = format!("/operate/jobs/{}", reply.json["id"].as_str().unwrap());
    let mut browser = Browser::operating(&app, &ann).await;
    assert!(browser.get(&path).await.page(200).contains("2 poisoned, 0 skipped"));
    let shown = browser.get(&format!("{path}/exceptions")).await;
    let page = shown.page(200);
    for said in ["line 2", "hour_start", "line 3", "malformed", "could not be read"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(browser.get(&format!("{path}/exceptions?limit=1")).await.page(200).contains("rel=\"next\""));
}

#[tokio::test]
async fn a_book_is_put_in_force_by_the_plan_that_was_looked_at() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let csv = "provider,model_pattern,input_per_mtok_usd,source\nopenai,gpt-5,1,page\n";
    let body = json!({"dated": "2026-11-20", "reason": "the <first>", "csv": csv});
    let request = app.request(reqwest::Method::POST, "/v1/price-books").bearer(&ann.operator).json(&body);
    assert_eq!(request.send().await.status, 201);
    let mut browser = Browser::operating(&app, &ann).await;
    let listed = browser.get("/operate/prices").await;
    let mut form = fields_of(listed.page(200), "/operate/jobs");
    assert!(plain(&listed.text).contains("the <first>") && !listed.text.contains("in force</span>"), "{}", listed.text);
    form.retain(|(name, _)| name != "reason");
    form.push(("reason".to_owned(), "prices at last".to_owned()));
    let planned = browser.post("/operate/jobs", &sent(&form)).await;
    let path = planned.header("location").to_owned();
    let job = browser.get(&path).await;
    assert!(job.page(200).contains("Price book") && job.text.contains("prices at last"), "{}", job.text);
    assert_eq!(app.ask("select count(*)::text from price.in_force where book is not null").await, ["0"]);
    press(&mut browser, &job.text, &format!("{path}/execute")).await.leads_to(&path);
    app.work_and_fold().await;
    assert!(browser.get("/operate/prices").await.page(200).contains("in force</span>"));
    // A book that there is not has no plan, and the page says so.
    let key = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";
    let fields = [("key", key), ("action", "reprice"), ("book", "77"), ("reason", "x")];
    let refused = browser.post("/operate/jobs", &fields).await;
    assert!([404, 409, 422].contains(&refused.status) && refused.text.contains("Nothing was done"), "{}", refused.text);
}
