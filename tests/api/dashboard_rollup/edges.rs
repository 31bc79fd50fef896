//! Where two rules meet: the end of the calendar, a zone that is asked for and wanted at once, pages of a day whose sums
//! stay, requests for headers only.

use reqwest::Method;
use serde_json::{Value, json};

use super::{results_of, rollups};
use crate::support::rollups::Usage;
use crate::support::{TestApp, TestDevice, TestUser, instant};

async fn one_user(app: &TestApp, zone: &str) -> (TestUser, TestDevice) {
    let me = app.user("me", zone).await;
    let device = app.device(&me, "laptop").await;
    (me, device)
}

#[tokio::test]
async fn every_instant_of_a_reply_is_one_of_rfc_3339_up_to_the_last_day_that_may_be_asked_for() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app, "America/New_York").await;
    let mut answered = 0;
    for day in ["9999-12-31", "9999-01-01", "9998-12-31", "1970-01-01"] {
        for query in [
            "fill=zero",
            "fill=zero&width=month",
            "fill=zero&width=week",
            "fill=zero&width=week&week_start=sunday&time_zone=Pacific/Kiritimati",
            "fill=zero&width=hour&time_zone=Pacific/Chatham",
            "fill=zero&width=half_hour&time_zone=Pacific/Kiritimati",
        ] {
            let reply = app.get(&me.viewer, &format!("/v1/rollups?from={day}&to={day}&{query}")).await;
            let codes = reply.json["errors"].as_array().map(|errors| errors.iter().map(|error| &error["code"]));
            if let Some(codes) = codes {
                assert_eq!(codes.collect::<Vec<_>>(), ["not_a_date"; 2], "{day} {query}");
                continue;
            }
            let results = results_of(&[reply.expect_ok().clone()]);
            assert!(!results.is_empty(), "{day} {query}");
            answered += 1;
            for result in results {
                for key in ["start", "end"] {
                    let text = result[key].as_str().unwrap();
                    assert_eq!((text.len(), text.as_bytes()[4]), (20, b'-'), "{day} {query}: {text}");
                }
            }
        }
        let path = format!("/v1/rollups/summary?from={day}&to={day}");
        assert!([200, 422].contains(&app.get(&me.viewer, &path).await.status), "{path}");
        let path = format!("/v1/rollups/heatmap?from={day}&to={day}&week_start=sunday");
        assert!([200, 422].contains(&app.get(&me.viewer, &path).await.status), "{path}");
        let path = format!("/v1/buckets?from={day}&to={day}");
        assert!([200, 422].contains(&app.get(&me.viewer, &path).await.status), "{path}");
    }
    assert_eq!(answered, 12, "the questions about two of the four days are answered");
}

#[tokio::test]
async fn a_bucket_that_spans_local_midnight_counts_for_the_day_it_begins_in_and_start_names_the_midnight_itself() {
    for (zone, midnight, last, first) in [
        ("Asia/Kathmandu", "2026-11-19T18:15:00Z", "2026-11-19T18:00:00Z", "2026-11-19T18:30:00Z"),
        ("Australia/Eucla", "2026-11-19T15:15:00Z", "2026-11-19T15:00:00Z", "2026-11-19T15:30:00Z"),
        ("Pacific/Chatham", "2026-11-19T10:15:00Z", "2026-11-19T10:00:00Z", "2026-11-19T10:30:00Z"),
    ] {
        let app = TestApp::start().await;
        let (me, device) = one_user(&app, zone).await;
        app.post_usage(&device, &[Usage::input(last, 7), Usage::input(first, 300)]).await;
        app.drain().await;
        let by_day = rollups(&app, &me, "from=2026-11-19&to=2026-11-20").await;
        let says = |day: &Value| (day["label"].clone(), day["results"][0]["input_tokens"].clone());
        let days: Vec<_> = by_day["data"].as_array().unwrap().iter().map(says).collect();
        assert_eq!(days, [(json!("2026-11-19"), json!(7)), (json!("2026-11-20"), json!(300))], "{zone}");
        assert_eq!((&by_day["data"][0]["end"], &by_day["data"][1]["start"]), (&json!(midnight), &json!(midnight)));
    }
}

#[tokio::test]
async fn a_zone_asked_for_by_name_answers_the_same_before_and_after_the_rollup_moves_into_it() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app, "Europe/Berlin").await;
    let hours = ["2026-11-17T15:30:00Z", "2026-11-18T14:30:00Z", "2026-11-18T15:00:00Z", "2026-11-19T15:30:00Z"];
    let buckets: Vec<_> = hours.iter().zip(1..).map(|(hour, number)| Usage::numbered(instant(hour), number)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    let question = "from=2026-11-17&to=2026-11-20&group_by=model&time_zone=Asia/Tokyo";
    let before = rollups(&app, &me, question).await;
    assert_eq!(before["data"].as_array().unwrap().len(), 3);
    let first = rollups(&app, &me, &format!("{question}&limit=2")).await;

    app.want_zone(&me, "Asia/Tokyo").await;
    let waiting = rollups(&app, &me, question).await;
    assert_eq!((&waiting["pending"], &waiting["time_zone"]), (&json!(true), &json!("Asia/Tokyo")));
    assert_eq!((&waiting["data"], &waiting["totals"]), (&before["data"], &before["totals"]));
    // The days that are not named are still those of the rollup.
    assert_eq!(rollups(&app, &me, "").await["time_zone"], "Europe/Berlin");

    app.drain().await;
    let after = rollups(&app, &me, question).await;
    assert_eq!((&after["pending"], &after["time_zone"]), (&json!(false), &json!("Asia/Tokyo")));
    assert_eq!((&after["data"], &after["totals"]), (&before["data"], &before["totals"]));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = rollups(&app, &me, &format!("{question}&limit=2&cursor={cursor}")).await;
    assert_eq!(results_of(&[first, second]), results_of(&[before]), "pages go on, whatever they are read from");
}

#[tokio::test]
async fn a_page_that_has_lost_what_came_after_it_is_another_page() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app, "UTC").await;
    let [first, second, third] = ["2026-11-20T08:00:00Z", "2026-11-20T08:30:00Z", "2026-11-20T09:00:00Z"];
    let other = |hour| Usage { model: "opus", ..Usage::input(hour, 7) };
    app.post_usage(&device, &[Usage::input(first, 5), Usage::input(second, 6), other(third)]).await;
    app.drain().await;
    let list = "/v1/rollups?width=half_hour&from=2026-11-20&to=2026-11-20&limit=1";
    let page = app.get(&me.viewer, list).await.expect_ok().clone();
    let path = format!("{list}&cursor={}", page["next_cursor"].as_str().unwrap());
    let page = app.get(&me.viewer, &path).await;
    assert!(page.expect_ok()["next_cursor"].is_string());
    // The last bucket moves before this page: the day, the totals and the page's own half hour stay what they are.
    app.tell(&format!("update usage.bucket set hour_start = '{first}' where hour_start = '{third}'")).await;
    let tag = page.header("etag").to_owned();
    let again = app.request(Method::GET, &path).bearer(&me.viewer).header("if-none-match", &tag).send().await;
    assert_eq!((again.status, &again.json["next_cursor"]), (200, &Value::Null));
    assert_eq!((&again.json["totals"], &again.json["data"]), (&page.json["totals"], &page.json["data"]));
}

#[tokio::test]
async fn a_request_for_headers_only_has_those_of_the_reply_and_no_body() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app, "UTC").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T08:00:00Z", 5), Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.drain().await;
    for (path, accept) in [
        ("/v1/rollups", "application/json"),
        ("/v1/rollups?width=half_hour&limit=1", "text/csv"),
        ("/v1/rollups/summary", "application/json"),
        ("/v1/rollups/heatmap", "application/json"),
        ("/v1/rollups?width=hour&limit=1", "text/csv"),
        ("/v1/rollups?width=week", "application/json"),
        ("/v1/rollups/heatmap?from=2026-11-19&week_start=sunday", "application/json"),
        ("/v1/buckets?limit=1", "application/json"),
        ("/v1/buckets", "application/x-ndjson"),
        ("/v1/buckets", "text/csv"),
    ] {
        let ask = async |method, tag: &str| {
            let request = app.request(method, path).bearer(&me.viewer).header("accept", accept);
            request.header("if-none-match", tag).send().await
        };
        let (get, head) = (ask(Method::GET, "\"none\"").await, ask(Method::HEAD, "\"none\"").await);
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["content-type", "etag", "link", "halfhour-version", "halfhour-pending", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        if !get.header("etag").is_empty() {
            assert_eq!(ask(Method::HEAD, get.header("etag")).await.status, 304, "{path}");
        }
    }
    let refused = app.request(Method::HEAD, "/v1/rollups?width=year").bearer(&me.viewer).send().await;
    assert_eq!((refused.status, refused.body.len()), (422, 0));
}
