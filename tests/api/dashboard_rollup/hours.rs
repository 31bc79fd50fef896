//! Hours of the local clock, against a walk through the minutes: each half hour counts for the hour it begins in, also
//! where hours begin at a quarter to, come twice, or are cut by a change of clocks.

use chrono::{DateTime, NaiveDate, Offset as _, SecondsFormat, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use serde_json::json;

use super::widths::{intervals, labels, living_in};
use super::{day, refusals, results_of, rollups};
use crate::support::instant;
use crate::support::rollups::{Usage, half_hours};

/// Days with an hour too many, too few or cut, and ordinary ones: the zone, the day, and how many hours it has.
const DAYS: [(&str, &str, usize); 24] = [
    ("UTC", "2024-02-29", 24),
    ("Europe/Berlin", "2026-03-29", 23),
    ("Europe/Berlin", "2026-10-25", 25),
    ("America/New_York", "2026-03-08", 23),
    ("America/New_York", "2026-11-01", 25),
    ("America/St_Johns", "2026-11-01", 25),
    ("America/Havana", "2026-03-08", 23),
    ("America/Havana", "2026-11-01", 25),
    ("America/Sao_Paulo", "2018-11-04", 23),
    ("America/Santiago", "2026-04-04", 25),
    ("Atlantic/Azores", "2026-10-25", 25),
    ("Africa/Cairo", "2026-04-24", 23),
    ("Asia/Kolkata", "2026-11-20", 24),
    ("Asia/Kathmandu", "2026-12-31", 24),
    ("Australia/Eucla", "2026-11-20", 24),
    // Half an hour comes twice, or is left out: one hour more, or one that is short.
    ("Australia/Lord_Howe", "2026-04-05", 25),
    ("Australia/Lord_Howe", "2026-10-04", 24),
    // At a quarter to four the clock goes back to a quarter to three: both hours are cut.
    ("Pacific/Chatham", "2026-04-05", 26),
    ("Pacific/Chatham", "2026-09-27", 24),
    ("Antarctica/Casey", "2023-03-09", 27),
    // The first hour of this day has one minute.
    ("Antarctica/Casey", "2020-10-04", 22),
    ("Pacific/Apia", "2011-12-29", 24),
    ("Pacific/Apia", "2011-12-30", 0),
    ("Pacific/Apia", "2011-12-31", 24),
];

/// The hours of a local day, by a walk through the minutes: an hour goes on as long as the clock shows it and is not moved.
fn hours_of(zone: Tz, day: NaiveDate) -> Vec<(String, DateTime<Utc>, DateTime<Utc>)> {
    let noon = Utc.from_utc_datetime(&day.and_hms_opt(12, 0, 0).unwrap());
    let minutes: Vec<_> = (-27 * 60..27 * 60).map(|minutes| noon + TimeDelta::minutes(minutes)).collect();
    let shown = |at: &DateTime<Utc>| {
        let local = at.with_timezone(&zone);
        (local.date_naive(), local.hour(), local.offset().fix())
    };
    let hours = minutes.chunk_by(|one, next| shown(one) == shown(next));
    hours
        .filter(|hour| shown(&hour[0]).0 == day)
        .map(|hour| {
            let after = *hour.last().unwrap() + TimeDelta::minutes(1);
            (format!("{day}T{:02}:00", shown(&hour[0]).1), hour[0], after)
        })
        .collect()
}

#[tokio::test]
async fn a_day_has_the_hours_that_its_clock_shows() {
    let (app, me) = living_in("UTC").await;
    for (name, date, count) in DAYS {
        let query = format!("width=hour&fill=zero&from={date}&to={date}&time_zone={name}");
        let reply = rollups(&app, &me, &query).await;
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let expected = hours_of(name.parse().unwrap(), day(date));
        let expected: Vec<_> =
            expected.into_iter().map(|(label, start, end)| format!("{label} {} {}", text(start), text(end))).collect();
        assert_eq!(intervals(&reply), expected, "{name} {date}");
        assert_eq!(expected.len(), count, "{name} {date}: {expected:#?}");
        let of_day = rollups(&app, &me, &query.replace("width=hour", "width=day")).await;
        let ends = |reply: &serde_json::Value| {
            let data = reply["data"].as_array().unwrap();
            Some((data.first()?["start"].clone(), data.last()?["end"].clone()))
        };
        assert_eq!(ends(&reply), ends(&of_day), "{name} {date}: hours fill the day");
    }
}

#[tokio::test]
async fn every_half_hour_counts_for_the_hour_it_begins_in() {
    let (app, _) = living_in("UTC").await;
    for (name, date, _) in DAYS.into_iter().filter(|(_, date, _)| *date >= "2020") {
        let me = app.user(&format!("{name} {date}"), "UTC").await;
        let device = app.device(&me, "laptop").await;
        let (first, last) = (day(date) - TimeDelta::days(1), day(date) + TimeDelta::days(2));
        let posted: Vec<_> = half_hours(&format!("{first}T00:00:00Z"), &format!("{last}T00:00:00Z"))
            .filter(|hour| *hour <= instant("2026-11-20T12:00:00Z"))
            .collect();
        let buckets: Vec<_> = posted.iter().zip(1..).map(|(hour, number)| Usage::numbered(*hour, number)).collect();
        app.post_usage(&device, &buckets).await;
        app.drain().await;
        let zone = format!("from={date}&to={date}&time_zone={name}");
        let reply = rollups(&app, &me, &format!("width=hour&fill=zero&{zone}")).await;
        let mut all = 0;
        for result in results_of(std::slice::from_ref(&reply)) {
            let [start, end] = ["start", "end"].map(|key| instant(result[key].as_str().unwrap()));
            let within: Vec<_> = posted.iter().filter(|hour| (start..end).contains(*hour)).collect();
            assert_eq!(result["bucket_count"], within.len(), "{name} {result}: {within:?}");
            all += within.len();
        }
        assert_eq!(reply["totals"]["bucket_count"], all, "{name} {date}");
        assert_eq!(reply["totals"], rollups(&app, &me, &zone).await["totals"], "{name} {date}");
    }
}

#[tokio::test]
async fn a_bucket_that_spans_a_local_hour_counts_for_the_one_it_begins_in_and_start_names_the_hour_itself() {
    let (app, me) = living_in("Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    let hours = ["2026-11-20T00:00:00Z", "2026-11-20T00:30:00Z", "2026-11-20T01:00:00Z", "2026-11-20T01:30:00Z"];
    let buckets: Vec<_> =
        hours.into_iter().zip([1, 20, 300, 4000]).map(|(at, count)| Usage::input(at, count)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    let reply = rollups(&app, &me, "width=hour&from=2026-11-20&to=2026-11-20").await;
    assert_eq!(
        intervals(&reply),
        [
            "2026-11-20T05:00 2026-11-19T23:15:00Z 2026-11-20T00:15:00Z",
            "2026-11-20T06:00 2026-11-20T00:15:00Z 2026-11-20T01:15:00Z",
            "2026-11-20T07:00 2026-11-20T01:15:00Z 2026-11-20T02:15:00Z"
        ]
    );
    let tokens: Vec<_> = results_of(&[reply]).iter().map(|result| result["input_tokens"].clone()).collect();
    assert_eq!(tokens, [json!(1), json!(320), json!(4000)]);
}

#[tokio::test]
async fn an_hour_that_comes_twice_is_two_and_has_one_name() {
    let (app, me) = living_in("Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    let hours = ["2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"];
    app.post_usage(&device, &hours.map(|hour| Usage::input(hour, 1))).await;
    app.drain().await;
    let path = "width=hour&from=2026-10-25&to=2026-10-25";
    let reply = rollups(&app, &me, path).await;
    assert_eq!(
        intervals(&reply),
        [
            "2026-10-25T02:00 2026-10-25T00:00:00Z 2026-10-25T01:00:00Z",
            "2026-10-25T02:00 2026-10-25T01:00:00Z 2026-10-25T02:00:00Z"
        ]
    );
    let second = rollups(&app, &me, &format!("{path}&limit=1")).await;
    let cursor = second["next_cursor"].as_str().unwrap();
    let second = rollups(&app, &me, &format!("{path}&limit=1&cursor={cursor}")).await;
    assert_eq!(
        (results_of(std::slice::from_ref(&second))[0]["bucket_count"].clone(), &second["next_cursor"]),
        (json!(2), &json!(null))
    );
}

#[tokio::test]
async fn hours_are_served_for_31_days_from_buckets_that_are_there() {
    let (app, me) = living_in("UTC").await;
    let filled = super::all_pages(&app, &me, "/v1/rollups?width=hour&from=2026-10-21&to=2026-11-20&fill=zero").await;
    assert_eq!(results_of(&filled).len(), 31 * 24, "an empty range has every hour, with zeros");
    assert_eq!(rollups(&app, &me, "width=hour").await["data"], json!([]));
    let future = rollups(&app, &me, "width=hour&from=2027-01-01&to=2027-01-01&fill=zero").await;
    assert_eq!(labels(&future).len(), 24, "what is yet to come is zero");
    for (query, refused) in [
        ("width=hour&from=2026-10-20&to=2026-11-20", "?from range_too_long"),
        ("width=hour&from=2026-11-21&to=2026-11-20", "?from range_is_reversed"),
        ("width=hour&week_start=monday", "?week_start week_start_needs_weeks"),
        ("width=hour&fill=zero&group_by=model", "?fill fill_needs_no_groups"),
        ("width=Hour", "?width unknown_width"),
        ("width=hour&width=hour", "?width repeated_parameter"),
    ] {
        assert_eq!(refusals(&app, &me, &format!("/v1/rollups?{query}")).await, [refused], "{query}");
    }
}
