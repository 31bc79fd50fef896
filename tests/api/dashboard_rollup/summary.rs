//! The summary: two ranges side by side, active days and streaks, over the whole scope.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::{DAILY, day, refusals};
use crate::support::rollups::{COUNTERS, Sums, Usage, add, half_hours, sums_of};
use crate::support::{NOW, TestApp, TestUser, instant};

async fn summary(app: &TestApp, user: &TestUser, query: &str) -> Value {
    app.get(&user.viewer, &format!("/v1/rollups/summary?{query}")).await.expect_ok().clone()
}

/// One row of the rollup on each of these days.
async fn active_on(app: &TestApp, user: &TestUser, days: impl IntoIterator<Item = NaiveDate>) {
    let values: Vec<_> = days
        .into_iter()
        .map(|day| {
            format!("('{}', '{day}', '{}', 'codex', 'gpt', 1, 0, 0, 0, 0, 0, 0, 0, 1)", user.user_id, user.user_id)
        })
        .collect();
    app.tell(&format!("insert into {DAILY} values {} on conflict do nothing", values.join(", "))).await;
}

fn run(from: &str, count: u64) -> impl Iterator<Item = NaiveDate> {
    let from = day(from);
    (0..count).map(move |days| from + Days::new(days))
}

fn streaks(reply: &Value) -> [i64; 4] {
    ["active_days", "previous_active_days", "current_streak", "longest_streak"]
        .map(|name| reply[name].as_i64().unwrap())
}

#[tokio::test]
async fn a_range_stands_beside_the_equally_long_one_before_it_whole_by_source_and_by_model() {
    let app = TestApp::start().await;
    let me = app.user("me", "Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    let hours = half_hours("2026-10-20T00:00:00Z", "2026-11-20T00:00:00Z").step_by(7);
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    let zone: chrono_tz::Tz = "Asia/Kathmandu".parse().unwrap();
    let sums = |from: &str, to: &str, wanted: &dyn Fn(&Usage) -> bool| {
        let mut sums = Sums::default();
        for bucket in buckets.iter().filter(|bucket| wanted(bucket)) {
            if (day(from)..=day(to)).contains(&bucket.hour_start.with_timezone(&zone).date_naive()) {
                add(&mut sums, &bucket.sums());
            }
        }
        sums
    };
    let reply = summary(&app, &me, "from=2026-11-06&to=2026-11-15").await;
    assert_eq!((&reply["previous_from"], &reply["previous_to"]), (&json!("2026-10-27"), &json!("2026-11-05")));
    assert_eq!(sums_of(&reply["totals"]), sums("2026-11-06", "2026-11-15", &|_| true));
    assert_eq!(sums_of(&reply["previous_totals"]), sums("2026-10-27", "2026-11-05", &|_| true));
    assert_eq!((reply["by_source"].as_array().unwrap().len(), reply["by_model"].as_array().unwrap().len()), (3, 4));
    for row in reply["by_source"].as_array().unwrap() {
        let is = |bucket: &Usage| row["source"] == bucket.source;
        assert_eq!(sums_of(&row["totals"]), sums("2026-11-06", "2026-11-15", &is), "{row}");
        assert_eq!(sums_of(&row["previous_totals"]), sums("2026-10-27", "2026-11-05", &is), "{row}");
    }
    let models: Vec<_> =
        reply["by_model"].as_array().unwrap().iter().map(|row| row["model"].as_str().unwrap()).collect();
    assert_eq!(models, ["Opus-B", "gpt", "opus", "z/z:1"], "in byte order");
    for row in reply["by_model"].as_array().unwrap() {
        let is = |bucket: &Usage| row["model"] == bucket.model;
        assert_eq!(sums_of(&row["totals"]), sums("2026-11-06", "2026-11-15", &is), "{row}");
    }
    assert_eq!(streaks(&reply)[..2], [10, 10]);

    let filtered = summary(&app, &me, "from=2026-11-06&to=2026-11-15&source=codex&model=gpt").await;
    let is = |bucket: &Usage| bucket.source == "codex" && bucket.model == "gpt";
    assert_eq!(sums_of(&filtered["totals"]), sums("2026-11-06", "2026-11-15", &is));
    assert_eq!(filtered["by_source"].as_array().unwrap().len(), 1);
    let default = summary(&app, &me, "").await;
    assert_eq!((&default["from"], &default["to"]), (&json!("2026-10-22"), &json!("2026-11-20")));
    assert_eq!(default["previous_from"], "2026-09-22");
}

#[tokio::test]
async fn a_group_of_one_range_only_stands_beside_zero() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    let new = Usage { source: "amp", ..Usage::input("2026-11-20T09:00:00Z", 5) };
    app.post_usage(&device, &[new, Usage::input("2026-11-19T09:00:00Z", 7)]).await;
    app.drain().await;
    let reply = summary(&app, &me, "from=2026-11-20&to=2026-11-20").await;
    let sources = reply["by_source"].as_array().unwrap().iter();
    let found: Vec<_> = sources
        .map(|row| {
            (
                row["source"].clone(),
                row["totals"]["input_tokens"].clone(),
                row["previous_totals"]["input_tokens"].clone(),
            )
        })
        .collect();
    assert_eq!(found, [(json!("amp"), json!(5), json!(0)), (json!("codex"), json!(0), json!(7))]);
    let nobody = app.user("nobody", "UTC").await;
    let empty = summary(&app, &nobody, "").await;
    assert_eq!((streaks(&empty), &empty["by_model"]), ([0; 4], &json!([])));
    assert_eq!(sums_of(&empty["totals"]), Sums::default());
}

#[tokio::test]
async fn a_streak_is_a_run_of_active_days_in_the_whole_history() {
    let app = TestApp::start().await;
    // Today is 2026-11-20.
    for (number, (days, expected)) in [
        (run("2026-11-18", 3).collect::<Vec<_>>(), [3, 0, 3, 3]),
        (run("2026-11-17", 3).collect(), [3, 0, 3, 3]),
        (run("2026-11-16", 3).collect(), [3, 0, 0, 3]),
        (run("2026-11-20", 1).collect(), [1, 0, 1, 1]),
        // The longest is years ago, outside of every range.
        (run("2022-02-25", 40).chain(run("2026-11-19", 2)).collect(), [2, 0, 2, 40]),
        // A gap of one day ends a run.
        (run("2026-11-01", 9).chain(run("2026-11-11", 9)).collect(), [18, 0, 9, 9]),
        // The range before counts its own.
        (run("2026-09-22", 60).collect(), [30, 30, 60, 60]),
        // A clock that is a little ahead: the local day of tomorrow has begun.
        (run("2026-11-20", 2).collect(), [1, 0, 2, 2]),
    ]
    .into_iter()
    .enumerate()
    {
        let user = app.user(&format!("user {number}"), "UTC").await;
        active_on(&app, &user, days).await;
        assert_eq!(streaks(&summary(&app, &user, "").await), expected, "{number}");
        let elsewhere = summary(&app, &user, "from=2023-01-01&to=2023-01-31").await;
        assert_eq!(streaks(&elsewhere)[2..], expected[2..], "{number}: streaks do not depend on the range");
    }
}

#[tokio::test]
async fn a_day_of_zeros_is_no_active_day_and_today_is_where_the_user_lives() {
    let app = TestApp::start().await;
    let (east, west) = (app.user("east", "Pacific/Chatham").await, app.user("west", "America/Sao_Paulo").await);
    for user in [&east, &west] {
        active_on(&app, user, run("2026-11-17", 3)).await;
        app.tell(&format!(
            "insert into rollup.user_state values ('{}', (select time_zone from account.user where user_id = '{}'), 1)",
            user.user_id, user.user_id
        ))
        .await;
    }
    // It is noon in UTC: the twentieth in the west, the twenty-first in the east.
    assert_eq!(streaks(&summary(&app, &west, "").await)[2], 3, "yesterday was active");
    assert_eq!(streaks(&summary(&app, &east, "").await)[2], 0, "yesterday was not");
    app.tell("update rollup.daily set input_tokens = 0 where day = '2026-11-18'").await;
    assert_eq!(streaks(&summary(&app, &west, "").await), [2, 0, 1, 1], "a row of zeros is no activity");
    for counter in COUNTERS.into_iter().take(8).filter(|counter| *counter != "reasoning_tokens") {
        let only = |count: u32| format!("update rollup.daily set {counter} = {count} where day = '2026-11-18'");
        app.tell(&only(1)).await;
        assert_eq!(streaks(&summary(&app, &west, "").await), [3, 0, 3, 3], "{counter} is");
        app.tell(&only(0)).await;
    }
    app.tell("update rollup.daily set request_count = 1 where day = '2026-11-18'").await;
    app.clock.set(instant(NOW) + chrono::TimeDelta::days(1));
    assert_eq!(streaks(&summary(&app, &west, "").await)[2], 0, "a streak ends after a day without");
}

#[tokio::test]
async fn a_summary_says_how_fresh_it_is_and_refuses_what_it_does_not_know() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    let oldest = app.ask("select to_json(min(created_at))#>>'{}' from usage.outbox").await.remove(0);
    let reply = summary(&app, &me, "").await;
    assert_eq!((&reply["pending"], reply["totals"]["input_tokens"].as_u64()), (&json!(true), Some(0)));
    assert_eq!(instant(reply["as_of"].as_str().unwrap()), instant(&oldest));
    summary(&app, &me, "from=2024-01-01&to=2026-03-10").await;
    for (query, refused) in [
        ("from=2024-01-01&to=2026-03-11", "?from range_too_long"),
        ("from=2026-01-02&to=2026-01-01", "?from range_is_reversed"),
        ("to=2026-01-01&to=2026-01-01", "?to repeated_parameter"),
        ("group_by=source", "?group_by unknown_parameter"),
        ("source=Emacs", "?source malformed_source"),
    ] {
        assert_eq!(refusals(&app, &me, &format!("/v1/rollups/summary?{query}")).await, [refused]);
    }
    app.get(&device.token, "/v1/rollups/summary").await.expect_problem(403, "wrong_principal");
    app.tell(&format!(
        "insert into {DAILY}
         select '{}', '2026-11-01', '{}', 'codex', 'm' || n, 1, 0, 0, 0, 0, 0, 0, 1, 1 from generate_series(1, 1001) n",
        me.user_id, me.user_id
    ))
    .await;
    let reply = app.get(&me.viewer, "/v1/rollups/summary").await;
    let error = &reply.expect_problem(422, "invalid")["errors"][0];
    assert_eq!(error["code"], "too_many_rows");
    assert!(error["detail"].as_str().unwrap().contains("group_by=model"), "{error}");
}
