//! Intervals: as many as a zone has, named in local time, filled or not, and what is refused.

use halfhour::features::dashboard_rollup::{Report, Window, verify};
use halfhour::kernel::access::Actor;
use reqwest::Method;
use serde_json::{Value, json};

use super::{refusals, results_of, rollups};
use crate::support::rollups::{Usage, half_hours};
use crate::support::{TestApp, TestUser, context, instant};

pub fn labels(reply: &Value) -> Vec<String> {
    let intervals = reply["data"].as_array().unwrap().iter();
    intervals.map(|interval| interval["label"].as_str().unwrap().to_owned()).collect()
}

/// Label, start and end of every interval.
pub fn intervals(reply: &Value) -> Vec<String> {
    let intervals = reply["data"].as_array().unwrap().iter();
    let text = |interval: &Value, key: &str| interval[key].as_str().unwrap().to_owned();
    intervals.map(|one| format!("{} {} {}", text(one, "label"), text(one, "start"), text(one, "end"))).collect()
}

/// A server that takes usage of any age, and a user of a zone.
pub async fn living_in(zone: &str) -> (TestApp, TestUser) {
    let app = TestApp::start_with(|settings| settings.ingest_max_age_days = None).await;
    let me = app.user("me", zone).await;
    (app, me)
}

#[tokio::test]
async fn a_day_has_as_many_half_hours_as_its_zone_gives_it() {
    let (app, me) = living_in("Australia/Lord_Howe").await;
    let device = app.device(&me, "laptop").await;
    let hours: Vec<_> = half_hours("2026-04-03T12:00:00Z", "2026-04-06T12:00:00Z").collect();
    app.post_usage(&device, &hours.iter().map(|hour| Usage::numbered(*hour, 1)).collect::<Vec<_>>()).await;
    app.drain().await;
    for (day, zone, count) in [
        ("2026-04-05", "Australia/Lord_Howe", 49),
        ("2026-10-04", "Australia/Lord_Howe", 47),
        ("2026-04-06", "Australia/Lord_Howe", 48),
        ("2026-03-29", "Europe/Berlin", 46),
        ("2026-10-25", "Europe/Berlin", 50),
        ("2026-04-24", "Africa/Cairo", 46),
        ("2018-11-04", "America/Sao_Paulo", 46),
        ("2018-02-17", "America/Sao_Paulo", 50),
        ("2023-03-09", "Antarctica/Casey", 54),
        ("2011-12-30", "Pacific/Apia", 0),
        ("2011-12-29", "Pacific/Apia", 48),
    ] {
        let query = format!("width=half_hour&fill=zero&from={day}&to={day}&time_zone={zone}");
        let reply = rollups(&app, &me, &query).await;
        let labels = labels(&reply);
        assert_eq!(labels.len(), count, "{zone} {day}: {labels:?}");
        assert!(labels.iter().all(|label| label.starts_with(day)), "{zone} {day}: {labels:?}");
        let results = results_of(&[reply]);
        assert_eq!(results.len(), count, "{zone} {day}");
        for pair in results.windows(2) {
            assert_eq!(pair[0]["end"], pair[1]["start"], "{zone} {day}: without a gap");
        }
    }
    let counted = rollups(&app, &me, "width=half_hour&from=2026-04-05&to=2026-04-05").await;
    assert_eq!((labels(&counted).len(), &counted["totals"]["bucket_count"]), (49, &json!(49)));
    assert_eq!(rollups(&app, &me, "from=2026-04-05&to=2026-04-05").await["totals"], counted["totals"]);
}

#[tokio::test]
async fn a_midnight_that_comes_again_three_hours_later_loses_nothing() {
    let (app, me) = living_in("Antarctica/Casey").await;
    let device = app.device(&me, "laptop").await;
    // The clock went back from three in the morning to midnight: the ninth begins at 13:00 and again at 16:00.
    let hours: Vec<_> = half_hours("2023-03-08T10:00:00Z", "2023-03-09T19:00:00Z").collect();
    app.post_usage(&device, &hours.iter().map(|hour| Usage::numbered(*hour, 1)).collect::<Vec<_>>()).await;
    app.drain().await;
    let count = async |query: &str| rollups(&app, &me, query).await["totals"]["bucket_count"].clone();
    let elsewhere = "&time_zone=Antarctica/Casey";
    for (days, expected) in [("from=2023-03-09&to=2023-03-09", 54), ("from=2023-03-08&to=2023-03-10", hours.len())] {
        for width in ["day", "week", "month", "half_hour", "hour"] {
            assert_eq!(count(&format!("{days}&width={width}")).await, expected, "{days} {width}");
        }
        let buckets = app.get(&me.viewer, &format!("/v1/buckets?{days}")).await;
        assert_eq!(buckets.expect_ok()["data"].as_array().unwrap().len(), expected, "{days}");
    }
    let report = verify(&app.pools.worker, &Window::default()).await.unwrap();
    assert_eq!(report, Report { users: 1, user_days: 3, ..Report::default() });
    app.want_zone(&me, "UTC").await;
    app.drain().await;
    let (width, days) = ("width=day", "from=2023-03-09&to=2023-03-09");
    assert_eq!(count(&format!("{days}&{width}{elsewhere}")).await, 54, "from buckets");
}

#[tokio::test]
async fn a_half_hour_is_named_by_its_local_start_and_a_repeated_one_by_its_instant() {
    let (app, me) = living_in("Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    let hours = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T18:00:00Z", "2026-10-25T18:30:00Z"];
    app.post_usage(&device, &hours.map(|hour| Usage::input(hour, 1))).await;
    app.drain().await;
    let reply = rollups(&app, &me, "width=half_hour&from=2026-10-25&to=2026-10-25").await;
    assert_eq!(labels(&reply), ["2026-10-25T06:15", "2026-10-25T07:15", "2026-10-25T23:45"]);
    let berlin = rollups(&app, &me, "width=half_hour&from=2026-10-25&to=2026-10-25&time_zone=Europe/Berlin").await;
    assert_eq!(
        intervals(&berlin)[..2],
        [
            "2026-10-25T02:30 2026-10-25T00:30:00Z 2026-10-25T01:00:00Z",
            "2026-10-25T02:30 2026-10-25T01:30:00Z 2026-10-25T02:00:00Z"
        ],
        "half past two comes twice"
    );
}

#[tokio::test]
async fn a_day_that_a_zone_skips_is_no_interval_and_midnight_is_where_the_zone_has_it() {
    let (app, me) = living_in("Pacific/Apia").await;
    let apia = rollups(&app, &me, "fill=zero&from=2011-12-29&to=2011-12-31").await;
    assert_eq!(
        intervals(&apia),
        [
            "2011-12-29 2011-12-29T10:00:00Z 2011-12-30T10:00:00Z",
            "2011-12-31 2011-12-30T10:00:00Z 2011-12-31T10:00:00Z"
        ]
    );
    let sao_paulo = rollups(&app, &me, "fill=zero&from=2018-11-03&to=2018-11-05&time_zone=America/Sao_Paulo").await;
    assert_eq!(
        intervals(&sao_paulo),
        [
            "2018-11-03 2018-11-03T03:00:00Z 2018-11-04T03:00:00Z",
            "2018-11-04 2018-11-04T03:00:00Z 2018-11-05T02:00:00Z",
            "2018-11-05 2018-11-05T02:00:00Z 2018-11-06T02:00:00Z"
        ],
        "the first instant of a day without a midnight"
    );
}

#[tokio::test]
async fn a_zone_whose_name_postgresql_takes_for_an_abbreviation_is_none() {
    let (app, me) = living_in("UTC").await;
    for zone in ["CET", "EET", "MET", "WET"] {
        let path = format!("/v1/rollups?time_zone={zone}");
        assert_eq!(refusals(&app, &me, &path).await, ["?time_zone unknown_time_zone"]);
        let change = app.request(Method::PATCH, "/v1/me").bearer(&me.viewer).json(&json!({"time_zone": zone}));
        change.send().await.expect_problem(422, "invalid");
        app.accounts().users.add(&context(), Actor::Command, zone, zone).await.unwrap_err();
    }
    // What a session in the zone says, which goes by zones only, is what every statement calculates.
    let others = "
        create function pg_temp.local(zone text, at timestamptz) returns timestamp language plpgsql as
            $$ begin perform set_config('timezone', zone, true); return at::timestamp; end $$;
        select format('%s %s', z.name, count(*) over ())
        from account.time_zone z
        cross join (values ('2026-01-15T12:00Z'::timestamptz), ('2026-07-15T12:00Z')) t (at)
        where pg_temp.local(z.name, t.at) <> (t.at at time zone z.name)";
    assert_eq!(app.ask(others).await, Vec::<String>::new());
    let known = app.ask("select count(*)::text from account.time_zone").await[0].parse::<u32>().unwrap();
    assert!(known > 300, "{known}");
}

#[tokio::test]
async fn months_are_calendar_months_cut_to_the_range() {
    let (app, me) = living_in("Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    // The last is in March in UTC, and in April in Berlin.
    let hours = ["2026-01-14T12:00:00Z", "2026-01-15T12:00:00Z", "2026-03-29T12:00:00Z", "2026-03-31T22:00:00Z"];
    app.post_usage(&device, &hours.map(|hour| Usage::input(hour, 1))).await;
    app.drain().await;
    let reply = rollups(&app, &me, "width=month&from=2026-01-15&to=2026-04-01").await;
    assert_eq!(
        intervals(&reply),
        [
            "2026-01 2026-01-14T23:00:00Z 2026-01-31T23:00:00Z",
            "2026-03 2026-02-28T23:00:00Z 2026-03-31T22:00:00Z",
            "2026-04 2026-03-31T22:00:00Z 2026-04-01T22:00:00Z"
        ]
    );
    assert_eq!(reply["totals"]["input_tokens"], 3, "the fourteenth is outside");
    let filled = rollups(&app, &me, "width=month&from=2026-01-15&to=2026-04-01&fill=zero").await;
    assert_eq!(labels(&filled), ["2026-01", "2026-02", "2026-03", "2026-04"]);
    assert_eq!(filled["data"][1]["results"][0]["bucket_count"], 0);
}

#[tokio::test]
async fn a_filled_range_has_every_interval_once_and_the_same_totals() {
    let (app, me) = living_in("UTC").await;
    let device = app.device(&me, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-03T10:00:00Z", 5), Usage::input("2026-11-20T10:30:00Z", 7)]).await;
    app.drain().await;
    let range = "from=2026-11-01&to=2026-11-20";
    let (bare, filled) = (rollups(&app, &me, range).await, rollups(&app, &me, &format!("{range}&fill=zero")).await);
    assert_eq!((labels(&bare).len(), labels(&filled).len()), (2, 20));
    assert_eq!(bare["totals"], filled["totals"]);
    let used: Vec<_> = results_of(&[filled]).into_iter().filter(|result| result["bucket_count"] != 0).collect();
    assert_eq!(used, results_of(&[bare]));
    let slots =
        super::all_pages(&app, &me, "/v1/rollups?width=half_hour&from=2026-10-21&to=2026-11-20&fill=zero").await;
    assert_eq!((results_of(&slots).len(), slots.len()), (31 * 48, 2));
    assert_eq!(refusals(&app, &me, "/v1/rollups?fill=zero&group_by=source").await, ["?fill fill_needs_no_groups"]);
}

#[tokio::test]
async fn another_zone_is_served_from_buckets_for_31_days_and_the_rollups_own_for_800() {
    let (app, me) = living_in("Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T02:00:00Z", 5)]).await;
    app.drain().await;
    let new_york = rollups(&app, &me, "from=2026-11-01&to=2026-11-20&time_zone=America/New_York").await;
    assert_eq!(
        (labels(&new_york), &new_york["time_zone"]),
        (vec!["2026-11-19".to_owned()], &json!("America/New_York"))
    );
    let own = rollups(&app, &me, "from=2024-09-12&to=2026-11-20&time_zone=Europe/Berlin").await;
    assert_eq!(labels(&own), ["2026-11-20"], "800 days of its own zone");
    rollups(&app, &me, "from=2026-10-21&to=2026-11-20&time_zone=UTC").await;
    let reply = app.get(&me.viewer, "/v1/rollups?from=2026-10-20&to=2026-11-20&time_zone=UTC").await;
    let error = &reply.expect_problem(422, "invalid")["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("?from"), &json!("range_too_long")));
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains("at most 31") && detail.contains("leave time_zone out"), "{detail}");
    for unknown in ["Europe/Atlantis", "CEST", "UTC%2B3", "europe/berlin", "%00", ""] {
        let path = format!("/v1/rollups?time_zone={unknown}");
        assert_eq!(refusals(&app, &me, &path).await, ["?time_zone unknown_time_zone"], "{unknown}");
    }
    app.clock.set(instant("2026-11-20T23:30:00Z"));
    assert_eq!(rollups(&app, &me, "").await["to"], "2026-11-21", "today where the user lives");
    assert_eq!(rollups(&app, &me, "time_zone=UTC").await["to"], "2026-11-20", "today where the days are counted");
}

#[tokio::test]
async fn every_cap_is_served_to_its_last_day_and_names_what_is_cheaper() {
    let (app, me) = living_in("UTC").await;
    for (served, refused, cheaper) in [
        ("from=2024-01-01&to=2026-03-10", "from=2024-01-01&to=2026-03-11", "width=month"),
        ("width=half_hour&from=2026-01-01&to=2026-01-31", "width=half_hour&from=2026-01-01&to=2026-02-01", "width=day"),
        ("width=hour&from=2026-01-01&to=2026-01-31", "width=hour&from=2026-01-01&to=2026-02-01", "width=day"),
        // The first is a Sunday, and the last is a Monday 519 weeks after the Monday before it.
        ("width=week&from=2026-01-11&to=2035-12-17", "width=week&from=2026-01-11&to=2035-12-24", "width=month"),
        ("width=month&from=2017-01-31&to=2026-12-01", "width=month&from=2017-01-31&to=2027-01-01", "Ask for fewer"),
    ] {
        rollups(&app, &me, served).await;
        let reply = app.get(&me.viewer, &format!("/v1/rollups?{refused}")).await;
        let error = &reply.expect_problem(422, "invalid")["errors"][0];
        assert_eq!(error["code"], "range_too_long", "{refused}");
        assert!(error["detail"].as_str().unwrap().contains(cheaper), "{error}");
    }
    // What is left open is held to the same cap.
    for open in [
        "width=half_hour&from=2026-10-20",
        "width=hour&from=2026-10-20",
        "from=2024-01-01",
        "width=week&from=2016-11-01",
        "width=month&from=2016-11-01",
    ] {
        assert_eq!(refusals(&app, &me, &format!("/v1/rollups?{open}")).await, ["?from range_too_long"], "{open}");
    }
}

#[tokio::test]
async fn while_a_change_of_zone_waits_the_recorded_zone_is_served_and_more_is_pending() {
    let (app, me) = living_in("Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T18:30:00Z", 5)]).await;
    app.drain().await;
    app.tell("update account.user set time_zone = 'UTC'").await;
    for path in [
        "/v1/rollups?",
        "/v1/rollups?width=half_hour&",
        "/v1/rollups?width=hour&",
        "/v1/rollups?width=week&",
        "/v1/rollups/summary?",
        "/v1/rollups/heatmap?",
        "/v1/buckets?",
    ] {
        let reply = app.get(&me.viewer, &format!("{path}from=2026-11-20&to=2026-11-20")).await.expect_ok().clone();
        assert_eq!((&reply["time_zone"], &reply["pending"]), (&json!("Asia/Kathmandu"), &json!(true)), "{path}");
    }
    let reply = app.get(&me.viewer, "/v1/rollups/heatmap").await.expect_ok().clone();
    assert_eq!((&reply["time_zone"], &reply["pending"]), (&json!("Asia/Kathmandu"), &json!(true)));
    let day = rollups(&app, &me, "from=2026-11-20&to=2026-11-20").await;
    assert_eq!(day["totals"]["input_tokens"], 5, "it is the twentieth in Kathmandu");
}

#[tokio::test]
async fn behind_the_retention_horizon_buckets_are_refused_and_the_rollup_still_answers() {
    let (app, me) = living_in("Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    let hours = ["2026-11-09T12:00:00Z", "2026-11-09T22:30:00Z", "2026-11-09T23:00:00Z", "2026-11-20T10:00:00Z"];
    app.post_usage(&device, &hours.map(|hour| Usage::input(hour, 1))).await;
    app.drain().await;
    app.tell(
        "update rollup.user_state set frozen_before = '2026-11-10';
         delete from usage.bucket where hour_start < '2026-11-09T23:00:00Z'",
    )
    .await;
    let from = |path: &str, from: &str| format!("{path}&from={from}&to=2026-11-20");
    for path in [
        "/v1/rollups?width=half_hour",
        "/v1/rollups?time_zone=UTC",
        "/v1/rollups?width=month&time_zone=Asia/Tokyo",
        "/v1/rollups?width=half_hour&fill=zero",
        "/v1/rollups?width=hour",
        "/v1/rollups?width=hour&fill=zero",
        "/v1/rollups?width=week&time_zone=Asia/Tokyo",
        "/v1/rollups?width=week&week_start=sunday&time_zone=UTC",
        "/v1/buckets?limit=5",
    ] {
        let refused = refusals(&app, &me, &from(path, "2026-11-09")).await;
        assert_eq!(refused, ["?from before_retention_horizon"], "{path}");
    }
    for path in [
        "/v1/rollups?width=half_hour",
        "/v1/rollups?width=hour",
        "/v1/rollups?time_zone=UTC",
        "/v1/rollups?width=week&time_zone=UTC",
        "/v1/buckets?limit=5",
    ] {
        app.get(&me.viewer, &from(path, "2026-11-10")).await.expect_ok();
    }
    // In Tokyo the tenth begins eight hours earlier than in Berlin: some of its buckets are gone.
    let tokyo = from("/v1/rollups?time_zone=Asia/Tokyo", "2026-11-10");
    assert_eq!(refusals(&app, &me, &tokyo).await, ["?from before_retention_horizon"]);
    for query in
        ["width=day", "width=week", "width=week&week_start=sunday&fill=zero", "width=month", "width=day&fill=zero"]
    {
        let reply = rollups(&app, &me, &format!("{query}&from=2026-11-01&to=2026-11-20")).await;
        assert_eq!(reply["totals"]["input_tokens"], 4, "{query}: what is frozen is still counted");
    }
    for query in ["width=half_hour", "width=hour", "width=week&time_zone=UTC"] {
        let reply = rollups(&app, &me, &format!("{query}&from=2026-11-10&to=2026-11-20")).await;
        assert_eq!(reply["totals"]["input_tokens"], if query.ends_with("UTC") { 1 } else { 2 }, "{query}");
    }
}

#[tokio::test]
async fn the_horizon_stays_where_retention_stopped_when_the_zone_changes() {
    let (app, me) = living_in("Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    let hours: Vec<_> = half_hours("2026-11-09T23:00:00Z", "2026-11-13T00:00:00Z").collect();
    app.post_usage(&device, &hours.iter().map(|hour| Usage::numbered(*hour, 1)).collect::<Vec<_>>()).await;
    app.drain().await;
    // What retention does to the days before the tenth of November in Berlin.
    app.tell(
        "insert into usage.horizon select user_id, '2026-11-09T23:00Z' from account.user;
         update rollup.user_state set frozen_before = '2026-11-10'",
    )
    .await;
    let first_served = async || {
        for day in 9..14 {
            let path = format!("/v1/rollups?width=half_hour&from=2026-11-{day:02}&to=2026-11-14");
            let reply = app.get(&me.viewer, &path).await;
            for other in ["buckets?limit=1&", "rollups?width=hour&", "rollups?width=hour&fill=zero&"] {
                let path = path.replace("rollups?width=half_hour&", other);
                assert_eq!(reply.status, app.get(&me.viewer, &path).await.status, "{path}");
            }
            if reply.status == 200 {
                return (day, reply.json["totals"]["bucket_count"].clone());
            }
        }
        panic!("no day is served");
    };
    let days_from = async |day: i32| {
        rollups(&app, &me, &format!("from=2026-11-{day:02}&to=2026-11-14")).await["totals"]["bucket_count"].clone()
    };
    let (all, days) =
        (hours.len(), [("Europe/Berlin", 10), ("Asia/Kathmandu", 11), ("America/New_York", 11), ("Europe/Berlin", 10)]);
    for (zone, first) in days {
        app.tell(&format!("update account.user set time_zone = '{zone}'")).await;
        app.tell(
            "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
             select user_id, 'rebuild', '-infinity', '-infinity', 'infinity', 'whole', user_id from account.user",
        )
        .await;
        app.drain().await;
        let (day, count) = first_served().await;
        assert_eq!(day, first, "{zone}");
        assert_eq!(count, days_from(day).await, "{zone}: half hours and days agree on what is served");
        assert_eq!(days_from(1).await, json!(all), "{zone}: the rollup lost nothing");
    }
}
