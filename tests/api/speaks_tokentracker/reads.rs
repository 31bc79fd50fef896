//! What its dashboard reads: numbers, whole hours, the tokens of each model, spans that end today.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use chrono_tz::Tz;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::rollups::{Usage, half_hours};
use crate::support::shapes::shape;
use crate::support::{Reply, TestApp, TestDevice, TestUser};

const CAPTURED: &str = include_str!("../../data/dialects/tt-dashboard-reads.json");
const COUNTS: &str = "total_tokens:number,billable_total_tokens:number,input_tokens:number,cached_input_tokens:number,\
    output_tokens:number,reasoning_output_tokens:number,cache_creation_input_tokens:number,conversation_count:number";

/// A call, with the text of its answer, whose names keep their order.
#[derive(serde::Deserialize)]
struct Call<'a> {
    path: String,
    query: Value,
    #[serde(borrow)]
    answer: &'a serde_json::value::RawValue,
}

async fn read(app: &TestApp, user: &TestUser, slug: &str, query: &str) -> Reply {
    let reply = app.get(&user.viewer, &format!("/functions/tokentracker-{slug}?{query}")).await;
    reply.expect_ok();
    reply
}

async fn somebody(app: &TestApp, zone: &str, usages: &[Usage]) -> (TestUser, TestDevice) {
    let user = app.user("ann", zone).await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, usages).await;
    app.drain().await;
    (user, device)
}

/// What a bucket shows here.
fn shown(usage: &Usage) -> [u64; 7] {
    let [input, cached, five, hour, output, reasoning, ..] = usage.counts;
    let total = usage.sums()[8];
    [total, total, input, cached, output, reasoning, five + hour]
}

/// The counts of an object, in that order.
#[track_caller]
fn counts(object: &Value) -> [u64; 7] {
    let names = COUNTS.split(':').filter_map(|part| part.rsplit(',').next());
    let names: Vec<&str> = names.filter(|name| !["number", "conversation_count"].contains(name)).collect();
    assert_eq!(object["conversation_count"], 0);
    std::array::from_fn(|place| object[names[place]].as_u64().unwrap_or_else(|| panic!("{object}")))
}

fn added(usages: impl Iterator<Item = [u64; 7]>) -> [u64; 7] {
    usages.fold([0; 7], |all, more| std::array::from_fn(|place| all[place] + more[place]))
}

#[tokio::test]
async fn every_captured_read_is_answered_in_the_captured_shape() {
    let app = TestApp::start().await;
    let (user, _) = somebody(&app, "UTC", &[Usage::input("2026-11-09T10:00:00Z", 5)]).await;
    let calls: Vec<Call<'_>> = serde_json::from_str(CAPTURED).unwrap();
    let mut compared = 0;
    for call in &calls {
        let Some(slug) = call.path.strip_prefix("/functions/tokentracker-") else { continue };
        let pairs = call.query.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let reply = read(&app, &user, slug, &query).await;
        if call.answer.get().starts_with('{') {
            // Nothing is left out, so that no name stands in an empty list.
            let told = shape(call.answer.get().as_bytes());
            assert_eq!(shape(&reply.body), told, "{slug}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3);
    let of = async |slug: &str, query: &str| shape(&read(&app, &user, slug, query).await.body);
    let head = "scope:text,excluded_sources:[]";
    assert_eq!(
        of("usage-daily", "").await,
        format!(
            "{{from:text,to:text,{head},data:[{{day:text,{COUNTS},total_cost_usd:number,models:{{gpt:number}}}}]}}"
        )
    );
    assert_eq!(
        of("usage-hourly", "day=2026-11-09").await,
        format!("{{day:text,{head},data:[{{hour:text,{COUNTS},models:{{gpt:number}}}}]}}")
    );
    assert_eq!(
        of("usage-monthly", "").await,
        format!("{{from:text,to:text,{head},data:[{{month:text,{COUNTS},models:{{gpt:number}}}}]}}")
    );
    let cell = |models: &str| {
        format!("{{day:text,total_tokens:number,billable_total_tokens:number,level:number,models:{models}}}")
    };
    assert_eq!(
        of("usage-heatmap", "weeks=1&to=2026-11-09").await,
        format!(
            "{{from:text,to:text,{head},week_starts_on:text,active_days:number,streak_days:number,\
             weeks:[[{}|{}|null]],total_cost_usd:number}}",
            cell("null"),
            cell("{gpt:number}")
        )
    );
}

#[tokio::test]
async fn sums_are_exact_in_any_zone_and_hours_are_those_of_the_clock() {
    let app = TestApp::start().await;
    let hours = half_hours("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
    let usages: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    let (user, _) = somebody(&app, "Europe/Berlin", &usages).await;
    for (named, zone) in [
        ("", "Europe/Berlin"),
        ("tz=UTC&tz_offset_minutes=0", "UTC"),
        ("tz=Asia/Kathmandu", "Asia/Kathmandu"),
        ("tz_offset_minutes=-420", "Etc/GMT+7"),
    ] {
        let zone: Tz = zone.parse().unwrap();
        let of = |matching: &dyn Fn(chrono::NaiveDateTime) -> bool| {
            let local = |usage: &&Usage| matching(usage.hour_start.with_timezone(&zone).naive_local());
            added(usages.iter().filter(local).map(shown))
        };
        let everything = of(&|_| true);
        let range = format!("from=2025-11-21&to=2026-11-20&{named}");
        let summary = read(&app, &user, "usage-summary", &range).await.json;
        let daily = read(&app, &user, "usage-daily", &range).await.json;
        let days = daily["data"].as_array().unwrap();
        assert_eq!((counts(&summary["totals"]), &summary["days"]), (everything, &days.len().into()), "{named}");
        for day in days {
            let date: NaiveDate = day["day"].as_str().unwrap().parse().unwrap();
            assert_eq!(counts(day), of(&|local| local.date() == date), "{named} {date}");
            let hourly = read(&app, &user, "usage-hourly", &format!("day={date}&{named}")).await.json;
            let rows = hourly["data"].as_array().unwrap();
            let names: Vec<&str> = rows.iter().map(|row| row["hour"].as_str().unwrap()).collect();
            assert!(names.is_sorted_by(|one, next| one < next), "each hour comes once: {names:?}");
            for row in rows {
                let hour = row["hour"].as_str().unwrap();
                let own = of(&|local| local.format("%Y-%m-%dT%H:00:00").to_string() == hour);
                assert_eq!(counts(row), own, "{named} {hour}");
            }
            assert_eq!(added(rows.iter().map(counts)), counts(day), "{named} {date}");
            for row in rows.iter().chain([day]) {
                let models: BTreeMap<String, u64> = serde_json::from_value(row["models"].clone()).unwrap();
                assert_eq!(models.values().sum::<u64>(), counts(row)[0]);
            }
        }
        let breakdown = read(&app, &user, "usage-model-breakdown", &range).await.json;
        let sources = breakdown["sources"].as_array().unwrap();
        assert_eq!(added(sources.iter().map(|source| counts(&source["totals"]))), everything, "{named}");
        let monthly = read(&app, &user, "usage-monthly", &range).await.json;
        assert_eq!(added(monthly["data"].as_array().unwrap().iter().map(counts)), everything, "{named}");
    }
}

#[tokio::test]
async fn spans_that_end_today_have_their_days_and_their_average() {
    let app = TestApp::start().await;
    let usages = [
        Usage::input("2026-10-21T10:00:00Z", 1_000_000),
        Usage::input("2026-10-22T10:00:00Z", 100),
        Usage::input("2026-11-13T10:00:00Z", 20),
        Usage::input("2026-11-14T10:00:00Z", 3),
        Usage::input("2026-11-20T10:00:00Z", 4),
    ];
    let (user, _) = somebody(&app, "UTC", &usages).await;
    // Whichever days are asked for.
    let summary = read(&app, &user, "usage-summary", "from=2026-10-01&to=2026-10-21&rolling=1").await.json;
    let span = |from: &str, days: u64, tokens: u64| {
        json!({"from": from, "to": "2026-11-20", "active_days": days,
            "totals": {"billable_total_tokens": tokens, "conversation_count": 0}})
    };
    let mut month = span("2026-10-22", 4, 127);
    month["avg_per_active_day"] = json!(32);
    assert_eq!(summary["rolling"], json!({"last_7d": span("2026-11-14", 2, 7), "last_30d": month}));
    assert_eq!((counts(&summary["totals"])[0], &summary["days"]), (1_000_000, &json!(1)));
    let without = read(&app, &user, "usage-summary", "from=2026-10-01&to=2026-10-21").await.json;
    assert!(without.get("rolling").is_none());
}

#[tokio::test]
async fn a_device_may_be_shown_alone_and_levels_are_quarters_of_the_greatest_day() {
    let app = TestApp::start().await;
    let usages = [(10, 100), (11, 75), (12, 25), (13, 26)];
    let usages = usages.map(|(day, tokens)| Usage::input(&format!("2026-11-{day}T10:00:00Z"), tokens));
    let (user, device) = somebody(&app, "UTC", &usages).await;
    let phone = app.device(&user, "phone").await;
    app.post_usage(&phone, &[Usage::input("2026-11-10T10:00:00Z", 1_000)]).await;
    app.drain().await;
    let query = format!("weeks=2&to=2026-11-14&week_starts_on=mon&device_id={}", device.device_id);
    let heatmap = read(&app, &user, "usage-heatmap", &query).await.json;
    let cells: Vec<_> = heatmap["weeks"].as_array().unwrap().iter().flat_map(|week| week.as_array().unwrap()).collect();
    let levels: Vec<_> = cells.iter().skip(8).map(|cell| cell["level"].clone()).collect();
    assert_eq!(levels, [json!(4), json!(3), json!(1), json!(2), json!(0), json!(null)]);
    assert_eq!((&heatmap["active_days"], &heatmap["streak_days"]), (&json!(4), &json!(0)));
    let both = read(&app, &user, "usage-summary", "").await.json;
    assert_eq!(counts(&both["totals"])[0], 1_226);
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_only_viewers_are_answered() {
    let app = TestApp::start().await;
    let (user, device) = somebody(&app, "UTC", &[]).await;
    for (slug, query, pointer, code) in [
        ("usage-summary", "from=2026-11-02&to=2026-11-01", "?from", "range_is_reversed"),
        ("usage-summary", "rolling=yes", "?rolling", "not_a_boolean"),
        ("usage-daily", "tz=Nowhere/Land", "?tz", "unknown_time_zone"),
        ("usage-hourly", "day=2026-13-01", "?day", "not_a_date"),
        ("usage-hourly", "device_id=7", "?device_id", "not_a_uuid"),
        ("usage-monthly", "from=2026-01-01&months=2", "?months", "months_or_days"),
        ("usage-heatmap", "tz_offset_minutes=-210", "?tz_offset_minutes", "no_fixed_zone"),
        ("usage-model-breakdown", "scope=all", "?scope", "unknown_parameter"),
    ] {
        let reply = app.get(&user.viewer, &format!("/functions/tokentracker-{slug}?{query}")).await;
        let error = reply.expect_problem(422, "invalid")["errors"][0].clone();
        assert_eq!((&error["pointer"], &error["code"]), (&json!(pointer), &json!(code)), "{slug}?{query}");
    }
    let devices = (0..101).map(|_| format!("device_id={}", uuid::Uuid::now_v7())).collect::<Vec<_>>().join("&");
    let reply = app.get(&user.viewer, &format!("/functions/tokentracker-usage-daily?{devices}")).await;
    assert_eq!(reply.expect_problem(422, "invalid")["errors"][0]["pointer"], "?device_id");
    for slug in
        ["usage-summary", "usage-heatmap", "user-status", "usage-limits", "telemetry-pref", "project-usage-summary"]
    {
        let path = format!("/functions/tokentracker-{slug}");
        app.get(&device.token, &path).await.expect_problem(403, "wrong_principal");
        app.request(Method::GET, &path).send().await.expect_problem(401, "unauthorized");
    }
    for slug in ["user-status", "usage-limits", "telemetry-pref", "project-usage-summary"] {
        assert_eq!(read(&app, &user, slug, "limit=10&tz=UTC").await.body, b"{}", "{slug}");
    }
}
