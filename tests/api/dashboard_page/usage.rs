//! What is shown: the numbers of the API, on every page, in every view.

use serde_json::{Value, json};

use super::{Browser, numbers};
use crate::support::{NOW, TestApp, TestDevice, TestUser, instant};

/// Ann, two devices, and usage of two tools and three models on some days.
async fn with_usage(zone: &str) -> (TestApp, TestUser, [TestDevice; 2]) {
    let app = TestApp::start().await;
    let ann = app.user("ann", zone).await;
    let devices = [app.device(&ann, "laptop").await, app.device(&ann, "tower").await];
    let bucket = |hour: &str, source: &str, model: &str, input: u64, output: u64| json!({"hour_start": hour, "source": source, "model": model, "input_tokens": input, "output_tokens": output});
    let first = [
        bucket("2026-11-20T10:30:00Z", "codex", "gpt-5", 1000, 10),
        bucket("2026-11-19T23:30:00Z", "codex", "gpt-5", 500, 0),
        bucket("2026-11-18T08:00:00Z", "claude-code", "opus", 70, 7),
        bucket("2026-10-15T08:00:00Z", "claude-code", "opus", 40, 0),
    ];
    let second = [bucket("2026-11-20T11:00:00Z", "claude-code", "haiku", 200, 3)];
    for (device, buckets) in devices.iter().zip([first.as_slice(), &second]) {
        app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
    }
    app.drain().await;
    (app, ann, devices)
}

async fn totals(app: &TestApp, user: &TestUser, query: &str) -> Value {
    app.get(&user.viewer, &format!("/v1/rollups?{query}")).await.expect_ok()["totals"].clone()
}

#[tokio::test]
async fn the_first_page_has_the_numbers_of_the_api() {
    let (app, ann, _) = with_usage("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/").await;
    let page = shown.page(200);
    let expected = totals(&app, &ann, "").await;
    let figures = numbers(page);
    for (at, name) in [(0, "total_tokens"), (1, "input_tokens"), (2, "cache_read_tokens"), (4, "output_tokens")] {
        assert_eq!(Some(u64::try_from(figures[at]).unwrap()), expected[name].as_u64(), "{name}");
    }
    assert_eq!(figures[0], 1790);
    assert!(page.contains("nothing pending"), "{page}");
    for name in ["gpt-5", "opus", "haiku", "codex", "claude-code", "laptop", "tower"] {
        assert!(page.contains(&format!(">{name}<")), "{name}");
    }
    assert_eq!(shown.header("cache-control"), "private, no-cache");
    assert!(shown.headers.get_all("vary").iter().any(|value| value == "cookie"));
}

#[tokio::test]
async fn what_is_not_folded_yet_is_said_to_be_pending() {
    let (app, ann, [laptop, _]) = with_usage("UTC").await;
    let later = json!({"buckets": [{"hour_start": "2026-11-20T11:30:00Z", "source": "codex", "model": "m", "input_tokens": 9}]});
    app.post_buckets(&laptop.token, &later).await.expect_ok();
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/").await;
    assert!(shown.page(200).contains("newer changes are on their way"), "{}", shown.text);
    assert!(!shown.text.contains("nothing pending"));
    app.drain().await;
    assert!(browser.get("/").await.page(200).contains("nothing pending"));
}

#[tokio::test]
async fn every_view_is_a_link_whose_bars_add_up_to_its_total() {
    let (app, ann, devices) = with_usage("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let device = format!("/device?device_id={}", devices[0].device_id);
    for (path, total) in [
        ("/?last=7", 1790),
        ("/?last=90&width=day&group=tool", 1830),
        ("/?last=90&width=week&group=device&week_start=sunday", 1830),
        ("/?last=365&width=month&group=model&sort=name&order=tokens", 1830),
        ("/?from=2026-10-01&to=2026-10-31", 40),
        ("/?source=codex", 1510),
        ("/?source=codex&model=gpt-5&last=7", 1510),
        ("/?model=gpt-5&model=haiku", 1713),
        ("/model?model=gpt-5", 1510),
        ("/tool?source=claude-code&group=device", 280),
        (&device, 1587),
        ("/day?day=2026-11-20", 1213),
        ("/day", 1213),
        ("/day?day=2026-11-20&group=tool&source=codex", 1010),
    ] {
        let shown = browser.get(path).await;
        let page = shown.page(200);
        assert_eq!(numbers(page)[0], total, "{path}");
        let table = page.split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
        let rows: Vec<Vec<u128>> = table.split("<tr>").skip(1).map(numbers).collect();
        assert_eq!(rows.iter().map(|row| row[0]).sum::<u128>(), total, "{path}");
        for row in rows {
            assert_eq!(row[0], row[1..].iter().sum::<u128>(), "{path}: what is told apart adds up to {row:?}");
        }
    }
}

#[tokio::test]
async fn a_day_has_as_many_half_hours_as_its_clocks_say() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "Europe/Berlin").await;
    app.clock.set(instant("2026-11-20T12:00:00Z"));
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (day, slots) in [("2026-03-29", 46), ("2026-10-25", 50), ("2026-11-20", 48)] {
        let shown = browser.get(&format!("/day?day={day}")).await;
        let table = shown.page(200).split("<tbody>").nth(1).unwrap().split("</tbody>").next().unwrap();
        assert_eq!(table.matches("<tr>").count(), slots, "{day}");
    }
    let twice = browser.get("/day?day=2026-10-25").await;
    assert!(twice.text.contains("2026-10-25T00:30:00Z") && twice.text.contains("2026-10-25T01:30:00Z"));
}

#[tokio::test]
async fn another_zone_is_shown_from_buckets_with_lists_that_add_up() {
    let (app, ann, _) = with_usage("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    // In Berlin the bucket of 23:30 is one of the next day.
    for (query, total) in
        [("from=2026-11-20&to=2026-11-20", 1713), ("from=2026-11-19&to=2026-11-19", 0), ("last=7", 1790)]
    {
        let shown = browser.get(&format!("/?tz=Europe/Berlin&{query}")).await;
        let page = shown.page(200);
        assert_eq!(numbers(page)[0], total, "{query}");
        let lists = page.split("class=\"ranks\"").skip(1).map(|list| list.split("</table>").next().unwrap());
        for list in lists {
            assert_eq!(numbers(list).iter().sum::<u128>(), total, "{query}");
        }
    }
    browser.get("/?tz=Nowhere/Land").await.page(422);
}

#[tokio::test]
async fn a_zone_that_the_days_are_being_rebuilt_for_is_said() {
    let (app, ann, _) = with_usage("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let change = json!({"time_zone": "Asia/Kathmandu"});
    app.request(reqwest::Method::PATCH, "/v1/me").bearer(&ann.viewer).json(&change).send().await.expect_ok();
    let shown = browser.get("/").await;
    assert!(shown.page(200).contains("being rebuilt"), "{}", shown.text);
    assert!(!shown.text.contains("nothing pending"));
    app.drain().await;
    let shown = browser.get("/").await;
    assert!(!shown.page(200).contains("being rebuilt") && shown.text.contains("Asia/Kathmandu"));
}

#[tokio::test]
async fn the_sheet_has_every_counter_of_the_same_bars() {
    let (app, ann, _) = with_usage("UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/usage.csv?from=2026-11-18&to=2026-11-20").await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "text/csv; charset=utf-8"));
    let lines: Vec<&str> = shown.text.lines().collect();
    assert_eq!(lines.len(), 4, "{}", shown.text);
    assert!(lines[0].starts_with("local_start,start,end,input_tokens,"), "{}", lines[0]);
    let total = lines[0].split(',').position(|name| name == "total_tokens").unwrap();
    let totals: Vec<&str> = lines[1..].iter().map(|line| line.split(',').nth(total).unwrap()).collect();
    assert_eq!(totals, ["77", "500", "1213"]);
    assert_eq!(browser.get("/usage.csv?day=2026-11-20").await.text.lines().count(), 49);
}

#[tokio::test]
async fn whoever_has_no_usage_is_told_what_makes_some() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/").await;
    let page = shown.page(200);
    assert!(page.contains("Nothing was reported yet") && page.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{page}");
    assert!(page.contains("No device may report"), "{page}");
    assert_eq!(numbers(page)[0], 0);
}

#[tokio::test]
async fn one_person_sees_nothing_of_another() {
    let (app, _, devices) = with_usage("UTC").await;
    let bob = app.user("bob", "UTC").await;
    let mut browser = Browser::signed_in(&app, &bob).await;
    let page = browser.get("/").await;
    assert!(!page.page(200).contains("gpt-5") && !page.text.contains("laptop"));
    browser.get(&format!("/device?device_id={}", devices[0].device_id)).await.page(404);
    assert_eq!(numbers(browser.get("/model?model=gpt-5").await.page(200))[0], 0);
}

#[tokio::test]
async fn devices_say_how_they_are() {
    let (app, ann, _) = with_usage("UTC").await;
    app.device(&ann, "drawer").await;
    app.note_token_uses().await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/").await;
    let page = shown.page(200);
    assert!(page.contains("not seen yet") && !page.contains(">stale<"), "{page}");
    assert!(page.contains("2026-11-20T12:00:00"), "{page}");
    app.clock.set(instant(NOW) + chrono::TimeDelta::days(3));
    assert_eq!(browser.get("/").await.page(200).matches(">stale<").count(), 2);
}
