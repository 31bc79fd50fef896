//! Pages: nothing is lost or doubled between them, whoever writes meanwhile, and a cursor is good for its own list only.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{all_pages, refusals, results_of, rollups};
use crate::support::rollups::{Usage, half_hours, sums_of};
use crate::support::{TestApp, TestDevice, TestUser, instant};

const RANGE: &str = "from=2026-11-01&to=2026-11-20";

/// Three buckets a day on twenty days.
fn usage() -> Vec<Usage> {
    let hours = half_hours("2026-11-01T01:00:00Z", "2026-11-20T12:00:00Z").step_by(16);
    hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect()
}

async fn one_user(app: &TestApp, name: &str) -> (TestUser, TestDevice) {
    let user = app.user(name, "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, &usage()).await;
    app.drain().await;
    (user, device)
}

fn key(result: &Value) -> String {
    format!("{} {} {}", result["start"], result["source"], result["model"])
}

#[tokio::test]
async fn an_interval_that_does_not_fit_goes_on_with_the_same_start_on_the_next_page() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    let pages = all_pages(&app, &me, "/v1/rollups?from=2026-11-01&to=2026-11-02&group_by=source,model&limit=2").await;
    let starts = |page: &Value| {
        let intervals = page["data"].as_array().unwrap().iter();
        intervals.map(|interval| interval["label"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let labels: Vec<_> = pages.iter().map(starts).collect();
    assert_eq!(labels, [vec!["2026-11-01"], vec!["2026-11-01", "2026-11-02"], vec!["2026-11-02"]]);
    for page in &pages {
        assert_eq!(sums_of(&page["totals"]), sums_of(&pages[0]["totals"]), "the whole range, whatever the page");
        for member in ["as_of", "pending", "version", "from", "to", "time_zone"] {
            assert!(!page[member].is_null(), "{member} is missing in {page}");
        }
    }
    assert_eq!(pages.last().unwrap()["next_cursor"], Value::Null);
}

#[tokio::test]
async fn pages_are_the_unpaged_answer_while_writers_touch_other_users() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    let (_, other) = one_user(&app, "other").await;
    for query in ["group_by=source,model", "width=month&group_by=model", "fill=zero", "width=half_hour&group_by=source"]
    {
        let path = format!("/v1/rollups?{RANGE}&{query}");
        let whole = all_pages(&app, &me, &path).await;
        let in_pages = format!("{path}&limit=3");
        let reading = all_pages(&app, &me, &in_pages);
        let writing = async {
            for number in 0..10 {
                let falling = usage().into_iter().map(|bucket| Usage { counts: [number; 8], ..bucket });
                app.post_usage(&other, &falling.collect::<Vec<_>>()).await;
                app.drain().await;
            }
        };
        let (pages, ()) = tokio::join!(reading, writing);
        assert!(pages.len() > 1, "{query}: one page is no test");
        assert_eq!(results_of(&pages), results_of(&whole), "{query}");
        assert!(pages.iter().all(|page| page["version"] == whole[0]["version"]), "{query}");
    }
}

#[tokio::test]
async fn a_key_present_throughout_comes_exactly_once_while_writers_touch_this_user() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app, "me").await;
    let path = format!("/v1/rollups?{RANGE}&group_by=source,model&limit=4");
    let stays: Vec<_> = results_of(&all_pages(&app, &me, &path).await).iter().map(key).collect();
    assert!(stays.len() > 8, "hardly anything stays: {stays:?}");
    let mut cursor = String::new();
    let mut seen = BTreeMap::<String, usize>::new();
    for round in 0_u64.. {
        let page = app.get(&me.viewer, &format!("{path}{cursor}")).await.expect_ok().clone();
        for result in results_of(std::slice::from_ref(&page)) {
            *seen.entry(key(&result)).or_default() += 1;
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
        // Before, in and behind the place where the next page begins: new keys, other counts, and keys that go again.
        let hours = half_hours("2026-11-01T02:00:00Z", "2026-11-20T12:00:00Z").step_by(16);
        let new: Vec<_> = hours
            .map(|hour| Usage { model: if round % 2 == 0 { "a" } else { "zz" }, ..Usage::numbered(hour, round + 1) })
            .collect();
        app.post_usage(&device, &new).await;
        let changed = usage().into_iter().map(|bucket| Usage { counts: [round; 8], ..bucket });
        app.post_usage(&device, &changed.collect::<Vec<_>>()).await;
        app.drain().await;
        app.tell(
            "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
             select user_id, 'bucket_changed', hour_start::date, hour_start, hour_start, 'live', user_id
             from usage.bucket where model in ('a', 'zz');
             delete from usage.bucket where model in ('a', 'zz')",
        )
        .await;
        if round % 3 == 0 {
            app.drain().await;
        }
    }
    let wrong: Vec<_> = stays.iter().filter(|key| seen.get(*key) != Some(&1)).collect();
    assert_eq!(wrong, Vec::<&String>::new(), "{seen:?}");
    assert!(seen.values().all(|times| *times == 1), "{seen:?}");
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_list_its_own_caller_and_nothing_else() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    let (you, _) = one_user(&app, "you").await;
    for path in ["/v1/rollups", "/v1/buckets"] {
        let list = format!("{path}?{RANGE}&source=codex");
        let page = app.get(&me.viewer, &format!("{list}&limit=2")).await.expect_ok().clone();
        let cursor = page["next_cursor"].as_str().unwrap().to_owned();
        let ask = async |user: &TestUser, query: &str, cursor: &str| {
            app.get(&user.viewer, &format!("{query}&cursor={cursor}")).await
        };
        ask(&me, &list, &cursor).await.expect_ok();
        ask(&me, &format!("{list}&limit=7"), &cursor).await.expect_ok();
        ask(&me, &format!("{path}?source=codex&{RANGE}"), &cursor).await.expect_ok();

        let refused = async |user: &TestUser, query: &str, cursor: &str| {
            let reply = ask(user, query, cursor).await;
            assert_eq!(reply.expect_problem(400, "malformed")["errors"][0]["pointer"], "?cursor", "{query} {cursor}");
        };
        refused(&you, &list, &cursor).await;
        refused(&me, &format!("{path}?{RANGE}"), &cursor).await;
        refused(&me, &format!("{path}?{RANGE}&source=other"), &cursor).await;
        refused(&me, &format!("{path}?from=2026-11-02&to=2026-11-20&source=codex"), &cursor).await;
        refused(&me, &format!("{list}&time_zone=UTC"), &cursor).await;
        let other = if path == "/v1/rollups" { "/v1/buckets" } else { "/v1/rollups" };
        refused(&me, &format!("{other}?{RANGE}&source=codex"), &cursor).await;

        let mut bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        let place = bytes.iter().position(u8::is_ascii_digit).unwrap();
        bytes[place] ^= 1;
        for tampered in [URL_SAFE_NO_PAD.encode(&bytes), cursor[1..].to_owned(), String::new(), "x".repeat(4000)] {
            refused(&me, &list, &tampered).await;
        }
    }
}

const WIDTHS: [&str; 7] = [
    "width=half_hour",
    "width=hour",
    "width=day",
    "width=week",
    "width=week&week_start=monday",
    "width=week&week_start=sunday",
    "width=month",
];

#[tokio::test]
async fn pages_of_many_sizes_are_the_whole_whatever_the_width() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    for width in WIDTHS {
        for question in ["&group_by=source,model", "&fill=zero", "&group_by=model&time_zone=America/St_Johns"] {
            let path = format!("/v1/rollups?{width}{question}&from=2026-10-25&to=2026-11-19");
            let whole = results_of(&all_pages(&app, &me, &path).await);
            assert!(whole.len() > 1, "{path}");
            // Every size that takes a few pages, but for the many sizes of hundreds.
            let sizes = 1.max(whole.len() / 8)..=1000.min(whole.len() + 1);
            for limit in sizes.filter(|limit| *limit < 12 || limit % 293 == 0 || limit.abs_diff(whole.len()) < 2) {
                let pages = all_pages(&app, &me, &format!("{path}&limit={limit}")).await;
                assert_eq!(results_of(&pages), whole, "{path} {limit}");
                assert_eq!(pages.len(), whole.len().div_ceil(limit), "{path} {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_cursor_of_one_width_is_refused_for_every_other_and_for_other_weeks() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    let path = |width: &str| format!("/v1/rollups?{RANGE}&{width}&group_by=model&limit=1");
    for width in WIDTHS {
        let page = app.get(&me.viewer, &path(width)).await.expect_ok().clone();
        let cursor = page["next_cursor"].as_str().unwrap();
        for other in WIDTHS {
            let reply = app.get(&me.viewer, &format!("{}&cursor={cursor}", path(other))).await;
            if other == width {
                reply.expect_ok();
            } else {
                let error = &reply.expect_problem(400, "malformed")["errors"][0];
                assert_eq!(
                    (&error["pointer"], &error["code"]),
                    (&json!("?cursor"), &json!("cursor_unknown")),
                    "{other}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_list_left_open_keeps_its_days_when_midnight_passes_between_two_pages() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    let first = app.get(&me.viewer, "/v1/rollups?limit=5").await.expect_ok().clone();
    app.clock.set(instant("2026-11-21T00:00:01Z"));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = app.get(&me.viewer, &format!("/v1/rollups?limit=5&cursor={cursor}")).await.expect_ok().clone();
    assert_eq!((&second["from"], &second["to"]), (&json!("2026-10-22"), &json!("2026-11-20")));
    assert_eq!(second["data"][0]["label"], "2026-11-06");
    assert_eq!(rollups(&app, &me, "limit=5").await["to"], "2026-11-21", "a new list ends today");
}

#[tokio::test]
async fn a_cursor_from_before_a_change_of_zone_is_refused() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "me").await;
    for path in ["/v1/rollups", "/v1/buckets"] {
        app.tell("update rollup.user_state set time_zone = 'UTC'; update account.user set time_zone = 'UTC'").await;
        let page = app.get(&me.viewer, &format!("{path}?{RANGE}&limit=2")).await.expect_ok().clone();
        let cursor = page["next_cursor"].as_str().unwrap();
        app.tell(
            "update rollup.user_state set time_zone = 'Asia/Tokyo'; update account.user set time_zone = 'Asia/Tokyo'",
        )
        .await;
        let reply = app.get(&me.viewer, &format!("{path}?{RANGE}&limit=2&cursor={cursor}")).await;
        assert_eq!(reply.expect_problem(400, "malformed")["errors"][0]["code"], "cursor_outdated");
    }
}

#[tokio::test]
async fn a_page_holds_a_thousand_results_unless_fewer_are_asked_for() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    app.tell(&format!(
        "insert into {}
         select '{}', '2026-01-01'::date + n % 100, '{}', 'codex', 'm' || n / 100, 1, 0, 0, 0, 0, 0, 0, 1, 1
         from generate_series(0, 10000) n",
        super::DAILY,
        me.user_id,
        uuid::Uuid::nil()
    ))
    .await;
    let path = "/v1/rollups?from=2026-01-01&to=2026-04-30&group_by=model";
    let pages = all_pages(&app, &me, path).await;
    let sizes: Vec<_> = pages.iter().map(|page| results_of(std::slice::from_ref(page)).len()).collect();
    assert_eq!(sizes, [vec![1000; 10], vec![1]].concat());
    assert!(pages.iter().all(|page| page["totals"]["total_tokens"] == 10_001));
    for limit in ["0", "1001", "-1", "ten", ""] {
        assert_eq!(refusals(&app, &me, &format!("{path}&limit={limit}")).await, ["?limit out_of_range"], "{limit}");
    }
}
