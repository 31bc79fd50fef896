//! Hours: the punch card against a plain walk through the buckets, also where clocks change, and bars by hour and half hour.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Timelike as _, Utc};
use chrono_tz::Tz;

use super::{Browser, numbers, rows_behind};
use crate::support::rollups::half_hours;
use crate::support::{TestApp, TestDevice, TestUser, instant};

/// Days around a change of clocks, and ordinary ones in odd zones.
const DAYS: [(&str, &str); 10] = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("America/Havana", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Pacific/Chatham", "2026-04-05"),
    ("Asia/Kathmandu", "2026-11-10"),
    ("UTC", "2026-11-10"),
];

/// Stores a bucket for each half hour from one instant to another, each with another number of tokens.
async fn store(app: &TestApp, user: &TestUser, device: &TestDevice, first: &str, last: &str, model: &str) {
    app.tell(&format!(
        "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, observed_at, changed_at, stamped)
         select '{user}', hour, '{device}', 'codex', '{model}', {TOKENS}, 0, 0, 0, 0, 0, 0, 0, now(), now(), true
         from generate_series('{first}'::timestamptz, '{last}'::timestamptz - interval '1 second', interval '30 minutes') hour",
        user = user.user_id,
        device = device.device_id,
    ))
    .await;
}

/// How many tokens a half hour has, in SQL and in Rust.
const TOKENS: &str = "1 + (extract(epoch from hour)::bigint / 1800) % 9973";

fn tokens(hour: DateTime<Utc>) -> u128 {
    u128::try_from(1 + hour.timestamp() / 1800 % 9973).unwrap()
}

/// The cells of the punch card's table, by hour and then by day from Monday on.
fn card(page: &str) -> Vec<Vec<u128>> {
    rows_behind(page, "The hours as a table").into_iter().map(numbers).collect()
}

/// The same, worked out half hour by half hour.
fn by_hand(hours: impl Iterator<Item = DateTime<Utc>>, zone: Tz, days: (NaiveDate, NaiveDate)) -> Vec<Vec<u128>> {
    let mut card = vec![vec![0; 7]; 24];
    for hour in hours {
        let local = hour.with_timezone(&zone);
        if local.date_naive() >= days.0 && local.date_naive() <= days.1 {
            let weekday = usize::try_from(local.weekday().num_days_from_monday()).unwrap();
            card[usize::try_from(local.hour()).unwrap()][weekday] += tokens(hour);
        }
    }
    card
}

#[tokio::test]
async fn the_punch_card_is_a_walk_through_the_buckets_also_where_clocks_change() {
    let app = TestApp::start().await;
    // Whose own zone is none of these, so that the totals are made of the same buckets.
    let ann = app.user("ann", "Asia/Tokyo").await;
    let device = app.device(&ann, "laptop").await;
    let (first, last) = ("2026-03-01T00:00:00Z", "2026-11-20T00:00:00Z");
    store(&app, &ann, &device, first, last, "m").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (zone, day) in DAYS {
        let day: NaiveDate = day.parse().unwrap();
        for days in [(day, day), (day - TimeDelta::days(5), day + TimeDelta::days(4))] {
            let shown = browser.get(&format!("/?tz={zone}&from={}&to={}", days.0, days.1)).await;
            let expected = by_hand(half_hours(first, last), zone.parse().unwrap(), days);
            assert_eq!(card(shown.page(200)), expected, "{zone} {days:?}");
            let all: u128 = expected.iter().flatten().sum();
            assert_eq!(numbers(&shown.text)[0], all, "{zone} {days:?}: the card is all that there is");
        }
    }
    let sunday = browser.get("/?tz=Asia/Kathmandu&from=2026-11-10&to=2026-11-16&week_start=sunday").await;
    let days = ("2026-11-10".parse().unwrap(), "2026-11-16".parse().unwrap());
    let mut expected = by_hand(half_hours(first, last), "Asia/Kathmandu".parse().unwrap(), days);
    for hour in &mut expected {
        hour.rotate_right(1);
    }
    assert_eq!(card(sunday.page(200)), expected);
    assert!(sunday.text.contains("168 of 168 hours of the week have usage"), "the text says it too");
}

#[tokio::test]
async fn the_punch_card_has_what_filters_let_through_and_nobody_elses() {
    let app = TestApp::start().await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    for user in [&ann, &bob] {
        let device = app.device(user, "laptop").await;
        store(&app, user, &device, "2026-11-19T10:00:00Z", "2026-11-19T11:00:00Z", "m").await;
        store(&app, user, &device, "2026-11-19T12:00:00Z", "2026-11-19T12:30:00Z", "<b>n").await;
    }
    let mut browser = Browser::signed_in(&app, &ann).await;
    let at = |hour: &str| tokens(instant(hour));
    let (ten, noon) = (at("2026-11-19T10:00:00Z") + at("2026-11-19T10:30:00Z"), at("2026-11-19T12:00:00Z"));
    for (path, expected) in [("/", [ten, noon]), ("/model?model=m", [ten, 0]), ("/?model=%3Cb%3En", [0, noon])] {
        let shown = browser.get(path).await;
        let found = card(shown.page(200));
        assert_eq!([found[10][3], found[12][3]], expected, "{path}");
        assert_eq!(found.iter().flatten().sum::<u128>(), expected[0] + expected[1], "{path}");
    }
    assert!(!browser.get("/day?day=2026-11-19").await.text.contains("Hours of the week"), "a day has its half hours");
    let nobody = app.user("carol", "UTC").await;
    let shown = Browser::signed_in(&app, &nobody).await.get("/").await;
    assert!(shown.page(200).contains("No hour of the week has usage"), "{}", shown.text);
}

#[tokio::test]
async fn a_punch_card_reads_so_many_buckets_and_says_from_when_on_it_is() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let device = app.device(&ann, "laptop").await;
    for model in 0..20 {
        let (first, last) = ("2026-10-25T00:00:00Z", "2026-11-20T00:00:00Z");
        store(&app, &ann, &device, first, last, &format!("m{model}")).await;
    }
    let oldest = "select hour_start::text from usage.bucket order by hour_start desc offset 20000 limit 1";
    let oldest = app.ask(oldest).await.remove(0);
    let kept = format!("select sum(total_tokens)::text from usage.bucket where hour_start > '{oldest}'");
    let kept: u128 = app.ask(&kept).await[0].parse().unwrap();
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/").await;
    assert_eq!(card(shown.page(200)).iter().flatten().sum::<u128>(), kept);
    assert!(
        shown.text.contains("It shows what is newest, from 2026-10-30 04:00:00 UTC on"),
        "{oldest}: {}",
        shown.text
    );
    let short = browser.get("/?last=7").await;
    assert!(!short.page(200).contains("what is newest"));
}

#[tokio::test]
async fn a_punch_card_says_what_retention_has_removed() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "Europe/Berlin").await;
    let device = app.device(&ann, "laptop").await;
    store(&app, &ann, &device, "2026-11-08T00:00:00Z", "2026-11-12T00:00:00Z", "m").await;
    app.tell(&format!(
        "insert into rollup.user_state (user_id, time_zone, version, frozen_before)
         values ('{user}', 'Europe/Berlin', 1, '2026-11-10')",
        user = ann.user_id
    ))
    .await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    let shown = browser.get("/").await;
    let days = ("2026-11-10".parse().unwrap(), "2026-11-20".parse().unwrap());
    let hours = half_hours("2026-11-08T00:00:00Z", "2026-11-12T00:00:00Z");
    assert_eq!(card(shown.page(200)), by_hand(hours, "Europe/Berlin".parse().unwrap(), days));
    assert!(shown.text.contains("Half hours before 2026-11-09 23:00:00 UTC are past retention"), "{}", shown.text);
}

#[tokio::test]
async fn short_ranges_have_bars_by_hour_and_half_hour_and_longer_ones_say_that_theirs_are_wider() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "Europe/Berlin").await;
    let device = app.device(&ann, "laptop").await;
    store(&app, &ann, &device, "2026-10-20T00:00:00Z", "2026-11-20T12:00:00Z", "m").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (query, bars, said) in [
        ("last=7&width=half_hour", 336, None),
        (
            "last=8&width=half_hour",
            192,
            Some("Bars by half hour are for at most 7 days. This range is longer, and has bars by hour."),
        ),
        ("last=14&width=hour", 336, None),
        (
            "last=15&width=hour",
            15,
            Some("Bars by hour are for at most 14 days. This range is longer, and has bars by day."),
        ),
        ("last=31&width=half_hour", 31, Some("has bars by day.")),
        ("from=2026-11-14&width=half_hour", 336, None),
        ("from=2026-11-13&width=half_hour", 192, Some("has bars by hour.")),
        ("from=2026-10-25&to=2026-10-25&width=hour", 25, None),
        ("from=2026-10-25&to=2026-10-25&width=half_hour", 50, None),
        ("from=2026-10-24&to=2026-10-26&width=hour&tz=UTC", 72, None),
    ] {
        let shown = browser.get(&format!("/?{query}")).await;
        let page = shown.page(200);
        let rows = rows_behind(page, "The same as a table");
        assert_eq!(rows.len(), bars, "{query}");
        if let Some(said) = said {
            assert!(page.contains(said), "{query}: {page:.4000}");
        } else {
            assert!(!page.contains("This range is longer"), "{query}");
            let all: u128 = rows.iter().map(|row| numbers(row)[0]).sum();
            assert!(all > 0 && rows[0].contains("00:00"), "{query}: {}", rows[0]);
        }
    }
    let twice = browser.get("/?from=2026-10-25&to=2026-10-25&width=hour").await;
    assert_eq!(twice.text.matches("Sun 25 Oct, 02:00</").count(), 2);
    assert!(twice.text.contains("2026-10-25T00:00:00Z") && twice.text.contains("2026-10-25T01:00:00Z"));
}

#[tokio::test]
async fn the_sheet_of_hours_has_the_rows_of_the_page_and_refuses_what_no_sheet_has_room_for() {
    let app = TestApp::start().await;
    let ann = app.user("ann", "UTC").await;
    let mut browser = Browser::signed_in(&app, &ann).await;
    for (query, lines) in [("last=8&width=half_hour", 192), ("last=2&width=half_hour", 96), ("last=3&width=hour", 72)] {
        let shown = browser.get(&format!("/?{query}")).await;
        let page = shown.page(200).replace("&#38;", "&").replace("&amp;", "&");
        let sheet =
            page.split("href=\"").find(|link| link.starts_with("/usage.csv")).unwrap().split('"').next().unwrap();
        assert_eq!(browser.get(sheet).await.text.lines().count(), 1 + lines, "{query}: {sheet}");
    }
    let shown = browser.get("/usage.csv?last=40&width=hour").await;
    assert!(shown.status == 422 && shown.text.contains("at most 31"), "{}", shown.text);
    browser.get("/?last=7&width=minute").await.page(422);
}
