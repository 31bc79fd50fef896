//! The heatmap: whole weeks, every day, in the rollup's zone.

use chrono::{Datelike as _, NaiveDate, Weekday};
use serde_json::{Value, json};

use super::{refusals, rollups};
use crate::support::rollups::{Usage, half_hours};
use crate::support::{TestApp, TestUser};

async fn heatmap(app: &TestApp, user: &TestUser, query: &str) -> Value {
    app.get(&user.viewer, &format!("/v1/rollups/heatmap?{query}")).await.expect_ok().clone()
}

fn days(reply: &Value) -> Vec<NaiveDate> {
    reply["data"].as_array().unwrap().iter().map(|cell| cell["day"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn every_day_of_whole_weeks_is_there_with_what_the_rollup_says() {
    let app = TestApp::start().await;
    let me = app.user("me", "Australia/Lord_Howe").await;
    let device = app.device(&me, "laptop").await;
    let hours = half_hours("2026-09-01T00:00:00Z", "2026-11-20T10:00:00Z").step_by(31);
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    for (query, filter) in [("weeks=10", ""), ("weeks=10&source=codex&model=gpt", "&source=codex&model=gpt")] {
        let reply = heatmap(&app, &me, query).await;
        let days = days(&reply);
        assert_eq!(days.len(), 70);
        assert!(days.windows(2).all(|pair| pair[0].succ_opt() == Some(pair[1])), "{days:?}");
        assert_eq!((days[0].weekday(), days[69].weekday()), (Weekday::Mon, Weekday::Sun));
        assert_eq!((&reply["to"], &reply["today"]), (&json!("2026-11-22"), &json!("2026-11-20")));
        let (from, to) = (&days[0], &days[69]);
        let dense = rollups(&app, &me, &format!("from={from}&to={to}&fill=zero{filter}")).await;
        let intervals = dense["data"].as_array().unwrap();
        assert_eq!(intervals.len(), 70);
        for (cell, interval) in reply["data"].as_array().unwrap().iter().zip(intervals) {
            assert_eq!(cell["day"], interval["label"]);
            for counter in ["total_tokens", "request_count"] {
                assert_eq!(cell[counter], interval["results"][0][counter], "{cell}");
            }
        }
    }
}

#[tokio::test]
async fn a_week_is_that_of_today_where_the_user_lives_and_weeks_are_bounded() {
    let app = TestApp::start().await;
    app.clock.set("2026-11-22T11:00:00Z".parse().unwrap());
    let (east, west) = (app.user("east", "Pacific/Chatham").await, app.user("west", "America/Sao_Paulo").await);
    // A Sunday in the west is a Monday in the east.
    let (eastern, western) = (heatmap(&app, &east, "weeks=1").await, heatmap(&app, &west, "weeks=1").await);
    assert_eq!((&eastern["from"], &eastern["to"]), (&json!("2026-11-23"), &json!("2026-11-29")));
    assert_eq!((&western["from"], &western["to"]), (&json!("2026-11-16"), &json!("2026-11-22")));
    assert_eq!(days(&heatmap(&app, &west, "weeks=104").await).len(), 728);
    assert_eq!(days(&heatmap(&app, &west, "").await).len(), 53 * 7);
    for (query, refused) in [
        ("weeks=0", "?weeks out_of_range"),
        ("weeks=105", "?weeks out_of_range"),
        ("weeks=4&weeks=4", "?weeks repeated_parameter"),
        ("weeks=4&from=2026-01-01", "?weeks weeks_or_days"),
        ("weeks=53&to=2026-11-20", "?weeks weeks_or_days"),
        ("weeks=0&from=2026-01-01", "?weeks out_of_range"),
        ("from=2026-01-02&to=2026-01-01", "?from range_is_reversed"),
        ("from=2026-11-23", "?from range_is_reversed"),
        ("from=2024-11-25&to=2026-11-23", "?from range_too_long"),
        ("from=2024-11-24", "?from range_too_long"),
        ("from=yesterday", "?from not_a_date"),
        ("week_start=saturday", "?week_start unknown_week_start"),
        ("week_start=sunday&week_start=sunday", "?week_start repeated_parameter"),
        ("width=week", "?width unknown_parameter"),
        ("time_zone=UTC", "?time_zone unknown_parameter"),
    ] {
        assert_eq!(refusals(&app, &west, &format!("/v1/rollups/heatmap?{query}")).await, [refused]);
    }
}

#[tokio::test]
async fn a_range_has_its_days_and_no_others_each_in_its_week() {
    let app = TestApp::start_with(|settings| settings.ingest_max_age_days = None).await;
    let me = app.user("me", "Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    let hours = half_hours("2024-02-01T00:00:00Z", "2026-11-20T10:00:00Z").step_by(43);
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    for (range, length) in [
        ("from=2026-01-01&to=2026-12-31", 365),
        ("from=2024-02-29&to=2024-02-29", 1),
        ("from=2024-11-25&to=2026-11-22", 728),
        ("from=2026-11-15&to=2026-11-16", 2),
        ("from=2024-12-28&to=2025-01-06", 10),
        ("from=2027-01-01&to=2027-01-31", 31),
        ("from=2026-10-25", 27),
        ("to=2026-10-25", 30),
    ] {
        for (week_start, starts) in [("", Weekday::Mon), ("&week_start=sunday", Weekday::Sun)] {
            for filter in ["", "&source=codex&model=gpt"] {
                let reply = heatmap(&app, &me, &format!("{range}{week_start}{filter}")).await;
                let days = days(&reply);
                assert_eq!(days.len(), length, "{range}");
                assert_eq!((&reply["from"], &reply["to"]), (&json!(days[0]), &json!(days[length - 1])), "{range}");
                assert_eq!(reply["week_start"], if starts == Weekday::Mon { "monday" } else { "sunday" });
                let dense = format!("from={}&to={}&fill=zero{filter}", days[0], days[length - 1]);
                let dense = rollups(&app, &me, &dense).await;
                let intervals = dense["data"].as_array().unwrap();
                for (cell, interval) in reply["data"].as_array().unwrap().iter().zip(intervals) {
                    let day: NaiveDate = cell["day"].as_str().unwrap().parse().unwrap();
                    assert_eq!(
                        (&cell["day"], &cell["week"]),
                        (&interval["label"], &json!(day.week(starts).first_day()))
                    );
                    for counter in ["total_tokens", "request_count"] {
                        assert_eq!(cell[counter], interval["results"][0][counter], "{cell}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn whole_weeks_may_begin_on_sunday() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    for (now, from, to) in [
        ("2026-11-21T12:00:00Z", "2026-11-08", "2026-11-21"),
        ("2026-11-22T12:00:00Z", "2026-11-15", "2026-11-28"),
        ("2027-01-01T12:00:00Z", "2026-12-20", "2027-01-02"),
    ] {
        app.clock.set(now.parse().unwrap());
        let reply = heatmap(&app, &me, "weeks=2&week_start=sunday").await;
        assert_eq!((&reply["from"], &reply["to"]), (&json!(from), &json!(to)), "{now}");
        let weeks: Vec<_> = reply["data"].as_array().unwrap().iter().map(|cell| cell["week"].clone()).collect();
        assert!(weeks.chunk_by(|one, next| one == next).all(|week| week.len() == 7), "{weeks:?}");
    }
}
