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
        ("from=2026-01-01", "?from unknown_parameter"),
    ] {
        assert_eq!(refusals(&app, &west, &format!("/v1/rollups/heatmap?{query}")).await, [refused]);
    }
}
