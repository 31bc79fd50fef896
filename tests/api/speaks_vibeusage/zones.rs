//! Days of the zone that the browser is in, which need not be the user's: long ranges, days of 23 and 25 hours, and zones
//! that are named by their distance from UTC.

use std::collections::BTreeMap;

use chrono::{NaiveDate, Timelike as _};
use chrono_tz::Tz;
use serde_json::{Value, json};

use super::{added, counts, read, shown, somebody};
use crate::support::rollups::{Usage, half_hours};
use crate::support::{TestApp, TestUser, instant};

/// Days on which clocks change somewhere, and the nights around them.
fn around_changes() -> Vec<Usage> {
    let changes = [
        ("2026-03-07T18:00:00Z", "2026-03-09T18:00:00Z"),
        ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
        ("2026-04-04T06:00:00Z", "2026-04-06T06:00:00Z"),
        ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
        ("2026-10-31T18:00:00Z", "2026-11-02T18:00:00Z"),
        ("2026-11-19T18:00:00Z", "2026-11-20T12:00:00Z"),
    ];
    let hours = changes.into_iter().flat_map(|(first, last)| half_hours(first, last));
    hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect()
}

/// What each local day adds up to.
fn by_day(usages: &[Usage], zone: Tz) -> BTreeMap<NaiveDate, [u64; 6]> {
    let mut days = BTreeMap::new();
    for usage in usages {
        let day = days.entry(usage.hour_start.with_timezone(&zone).date_naive()).or_insert([0; 6]);
        *day = added([*day, shown(usage)].into_iter());
    }
    days
}

/// Each way in which a zone can be named, and what it stands for.
const ZONES: [(&str, &str); 9] = [
    ("", "Europe/Berlin"),
    ("tz=Europe/Berlin&tz_offset_minutes=60", "Europe/Berlin"),
    ("tz=UTC&tz_offset_minutes=60", "UTC"),
    ("tz=America/New_York&tz_offset_minutes=-300", "America/New_York"),
    ("tz=Australia/Lord_Howe", "Australia/Lord_Howe"),
    ("tz=Asia/Kathmandu", "Asia/Kathmandu"),
    ("tz_offset_minutes=-300", "Etc/GMT+5"),
    ("tz_offset_minutes=330", "Asia/Kolkata"),
    ("tz_offset_minutes=0", "UTC"),
];

#[tokio::test]
async fn a_year_of_days_of_any_zone_is_exact() {
    let app = TestApp::start().await;
    let usages = around_changes();
    let (user, _) = somebody(&app, "Europe/Berlin", &usages).await;
    for (named, zone) in ZONES {
        let expected = by_day(&usages, zone.parse().unwrap());
        let shown_days = |data: &Value| {
            let days = data.as_array().unwrap().iter();
            let days = days.map(|day| (day["day"].as_str().unwrap().parse::<NaiveDate>().unwrap(), counts(day)));
            days.filter(|(_, counts)| *counts != [0; 6]).collect::<BTreeMap<_, _>>()
        };
        let daily = read(&app, &user, "usage-daily", &format!("from=2025-11-21&to=2026-11-20&{named}")).await.json;
        assert_eq!(shown_days(&daily["data"]), expected, "{named}");
        assert_eq!(daily["data"].as_array().unwrap().len(), 365, "{named}");
        let all = added(expected.values().copied());
        let monthly = read(&app, &user, "usage-monthly", &format!("to=2026-11-20&{named}")).await.json;
        let months = monthly["data"].as_array().unwrap();
        assert_eq!((months.len(), added(months.iter().map(counts))), (24, all), "{named}");
        let heatmap = read(&app, &user, "usage-heatmap", &format!("to=2026-11-20&{named}")).await.json;
        let cells = heatmap["weeks"].as_array().unwrap().iter().flat_map(|week| week.as_array().unwrap());
        let filled = cells.filter(|cell| !cell.is_null() && cell["value"] != "0");
        let filled: Vec<_> = filled.map(|cell| (cell["day"].clone(), cell["value"].clone())).collect();
        let told = expected.iter().map(|(day, counts)| (json!(day), json!(counts[0].to_string())));
        assert_eq!(filled, told.collect::<Vec<_>>(), "{named}");
        let breakdown = read(&app, &user, "usage-model-breakdown", &format!("from=2026-03-01&{named}")).await.json;
        let sources = breakdown["sources"].as_array().unwrap();
        assert_eq!(added(sources.iter().map(|source| counts(&source["totals"]))), all, "{named}");
    }
}

/// The slots of a day, by what they are called.
async fn slots(app: &TestApp, user: &TestUser, day: &str, named: &str) -> BTreeMap<String, [u64; 6]> {
    let hourly = read(app, user, "usage-hourly", &format!("day={day}&{named}")).await.json;
    let data = hourly["data"].as_array().unwrap();
    assert_eq!((data.len(), &hourly["day"]), (48, &json!(day)));
    data.iter().map(|slot| (slot["hour"].as_str().unwrap().to_owned(), counts(slot))).collect()
}

#[tokio::test]
async fn any_day_has_48_slots_that_add_up_to_it_however_long_it_is() {
    let app = TestApp::start().await;
    let usages = around_changes();
    let (user, _) = somebody(&app, "Europe/Berlin", &usages).await;
    for (named, zone) in ZONES {
        let zone: Tz = zone.parse().unwrap();
        for (day, all) in by_day(&usages, zone) {
            let mut expected: BTreeMap<String, [u64; 6]> = BTreeMap::new();
            for usage in &usages {
                let local = usage.hour_start.with_timezone(&zone);
                if local.date_naive() == day {
                    let slot = format!("{day}T{:02}:{:02}:00", local.hour(), local.minute() / 30 * 30);
                    let known = expected.entry(slot).or_default();
                    *known = added([*known, shown(usage)].into_iter());
                }
            }
            let found = slots(&app, &user, &day.to_string(), named).await;
            assert_eq!((found.len(), added(found.values().copied())), (48, all), "{named} {day}");
            let filled: BTreeMap<_, _> = found.into_iter().filter(|(_, counts)| *counts != [0; 6]).collect();
            assert_eq!(filled, expected, "{named} {day}");
        }
    }
    // The night in which Berlin's clocks were set back, and the one in which they were set forward.
    let back = slots(&app, &user, "2026-10-25", "").await;
    let one = |hour: &str| shown(usages.iter().find(|usage| usage.hour_start == instant(hour)).unwrap());
    let both = added([one("2026-10-25T00:00:00Z"), one("2026-10-25T01:00:00Z")].into_iter());
    assert_eq!(back["2026-10-25T02:00:00"], both);
    let forward = slots(&app, &user, "2026-03-29", "").await;
    assert_eq!((forward["2026-03-29T02:00:00"], forward["2026-03-29T02:30:00"]), ([0; 6], [0; 6]));
    assert_eq!(forward["2026-03-29T03:00:00"], one("2026-03-29T01:00:00Z"));
}

#[tokio::test]
async fn a_half_hour_that_begins_after_the_last_sign_of_a_device_is_missing() {
    let app = TestApp::start().await;
    let user = app.user("ann", "Europe/Berlin").await;
    let device = app.device(&user, "laptop").await;
    let missing = async |query: &str| {
        let hourly = read(&app, &user, "usage-hourly", query).await.json;
        let slots = hourly["data"].as_array().unwrap().iter();
        let missing: Vec<bool> = slots.map(|slot| slot.get("missing").is_some_and(|missing| missing == true)).collect();
        (missing.iter().position(|missing| *missing), hourly["sync"]["last_sync_at"].clone())
    };
    assert_eq!(missing("").await, (None, Value::Null), "no device was ever heard of");
    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 5)]).await;
    app.note_token_uses().await;
    // It is noon in UTC, and one o'clock in Berlin.
    let heard = json!("2026-11-20T12:00:00.000Z");
    assert_eq!(missing("day=2026-11-20").await, (Some(27), heard.clone()));
    assert_eq!(missing("day=2026-11-20&tz=Asia/Kathmandu").await, (Some(36), heard.clone()));
    assert_eq!(missing("day=2026-11-19").await, (None, heard.clone()));
    assert_eq!(missing("day=2026-11-21").await, (Some(0), heard));
}
