//! Weeks from Monday or from Sunday, against weeks that are counted without the server: named as ISO 8601 does, cut to the
//! range as months are.

use chrono::{NaiveDate, SecondsFormat, Weekday};
use chrono_tz::Tz;
use serde_json::json;

use super::widths::{intervals, labels, living_in};
use super::{day, refusals, results_of, rollups};
use crate::support::rollups::{Sums, Usage, add, day_start, half_hours, sums_of};

const STARTS: [(&str, Weekday); 3] = [
    ("width=week", Weekday::Mon),
    ("width=week&week_start=monday", Weekday::Mon),
    ("width=week&week_start=sunday", Weekday::Sun),
];

/// The name of a day's week.
fn name_of(day: NaiveDate, starts: Weekday) -> String {
    let first = day.week(starts).first_day();
    if starts == Weekday::Mon { first.format("%G-W%V").to_string() } else { first.to_string() }
}

/// Name, start and end of every week of a range, as far as the range goes.
fn weeks_of(zone: Tz, from: NaiveDate, to: NaiveDate, starts: Weekday) -> Vec<String> {
    let days: Vec<_> = from.iter_days().take_while(|day| *day <= to).collect();
    let weeks = days.chunk_by(|one, next| name_of(*one, starts) == name_of(*next, starts));
    let weeks = weeks.map(|week| {
        let end = week.last().unwrap().succ_opt().unwrap();
        (name_of(week[0], starts), [week[0], end].map(|day| day_start(zone, day)))
    });
    let there_is = weeks.filter(|(_, [start, end])| start < end);
    there_is
        .map(|(name, instants)| {
            let [start, end] = instants.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            format!("{name} {start} {end}")
        })
        .collect()
}

#[tokio::test]
async fn weeks_are_those_of_the_calendar_cut_to_the_range() {
    let (app, me) = living_in("UTC").await;
    for (zone, from, to) in [
        ("UTC", "2026-12-25", "2027-01-12"),
        ("UTC", "2020-12-21", "2021-01-10"),
        ("Europe/Berlin", "2024-12-20", "2025-01-10"),
        ("Asia/Kathmandu", "2024-02-20", "2024-03-10"),
        ("Asia/Kathmandu", "2024-02-29", "2024-02-29"),
        ("Pacific/Chatham", "2026-03-30", "2026-04-12"),
        ("Australia/Lord_Howe", "2026-09-28", "2026-10-11"),
        ("America/Sao_Paulo", "2018-10-29", "2018-11-11"),
        ("America/Havana", "2026-10-26", "2026-11-08"),
        ("Pacific/Apia", "2011-12-20", "2012-01-05"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30"),
        // A Saturday, a Sunday and a Monday.
        ("UTC", "2026-11-14", "2026-11-14"),
        ("UTC", "2026-11-15", "2026-11-15"),
        ("UTC", "2026-11-16", "2026-11-16"),
        ("UTC", "2026-11-14", "2026-11-16"),
        ("UTC", "2027-06-01", "2027-06-30"),
        ("UTC", "1970-01-01", "1970-01-31"),
    ] {
        for (query, starts) in STARTS {
            let path = format!("{query}&fill=zero&from={from}&to={to}&time_zone={zone}");
            let expected = weeks_of(zone.parse().unwrap(), day(from), day(to), starts);
            assert_eq!(intervals(&rollups(&app, &me, &path).await), expected, "{path}");
        }
    }
    let names = async |query: &str| labels(&rollups(&app, &me, &format!("{query}&fill=zero")).await).join(" ");
    let range = "from=2026-12-27&to=2027-01-04";
    assert_eq!(names(&format!("width=week&{range}")).await, "2026-W52 2026-W53 2027-W01");
    assert_eq!(names(&format!("width=week&week_start=sunday&{range}")).await, "2026-12-27 2027-01-03");
}

#[tokio::test]
async fn weeks_add_up_to_the_days_in_them_and_another_day_to_begin_with_makes_other_weeks() {
    let (app, me) = living_in("Pacific/Chatham").await;
    let device = app.device(&me, "laptop").await;
    let hours = half_hours("2023-12-20T00:00:00Z", "2026-11-20T00:00:00Z").step_by(97);
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    app.drain().await;
    let zone: Tz = "Pacific/Chatham".parse().unwrap();
    let (from, to) = (day("2024-01-03"), day("2026-11-11"));
    let mut counted = Vec::new();
    for (query, starts) in STARTS {
        let reply = rollups(&app, &me, &format!("{query}&from={from}&to={to}")).await;
        let mut expected = std::collections::BTreeMap::<(NaiveDate, String), Sums>::new();
        for bucket in &buckets {
            let day = bucket.hour_start.with_timezone(&zone).date_naive();
            if (from..=to).contains(&day) {
                let week = (day.week(starts).first_day(), name_of(day, starts));
                add(expected.entry(week).or_default(), &bucket.sums());
            }
        }
        let results = results_of(std::slice::from_ref(&reply));
        let found: Vec<_> = results.iter().map(|week| (week["label"].clone(), sums_of(week))).collect();
        let expected: Vec<_> = expected.into_iter().map(|((_, name), sums)| (json!(name), sums)).collect();
        assert_eq!(found, expected, "{query}");
        assert!(found.len() > 140, "{query}: {}", found.len());
        assert_eq!(reply["week_start"], if starts == Weekday::Mon { "monday" } else { "sunday" });
        counted.push(reply["totals"].clone());
    }
    assert!(counted.windows(2).all(|pair| pair[0] == pair[1]), "the totals are those of the range");
    let days = rollups(&app, &me, &format!("width=month&from={from}&to={to}")).await;
    assert_eq!((&days["totals"], days.get("week_start")), (&counted[0], None));
}

#[tokio::test]
async fn weeks_of_another_zone_are_summed_from_buckets_for_31_days() {
    let (app, me) = living_in("Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    // Sunday evening in Berlin is Monday in Tokyo.
    app.post_usage(&device, &[Usage::input("2026-11-15T16:00:00Z", 5)]).await;
    app.drain().await;
    let range = "from=2026-11-09&to=2026-11-20";
    for (query, label) in [
        ("width=week", "2026-W46"),
        ("width=week&time_zone=Asia/Tokyo", "2026-W47"),
        ("width=week&week_start=sunday&time_zone=Asia/Tokyo", "2026-11-15"),
        ("width=week&week_start=sunday&time_zone=America/Los_Angeles", "2026-11-15"),
        ("width=week&time_zone=America/Los_Angeles", "2026-W46"),
    ] {
        assert_eq!(labels(&rollups(&app, &me, &format!("{query}&{range}")).await), [label], "{query}");
    }
    let path = "/v1/rollups?width=week&time_zone=UTC&from=2026-10-20&to=2026-11-20";
    assert_eq!(refusals(&app, &me, path).await, ["?from range_too_long"]);
    rollups(&app, &me, &path["/v1/rollups?".len()..].replace("10-20", "10-21")).await;
}

#[tokio::test]
async fn what_begins_weeks_is_monday_or_sunday_and_is_asked_of_weeks_only() {
    let (app, me) = living_in("UTC").await;
    for (query, refused) in [
        ("week_start=monday", "?week_start week_start_needs_weeks"),
        ("width=day&week_start=sunday", "?week_start week_start_needs_weeks"),
        ("width=half_hour&week_start=sunday", "?week_start week_start_needs_weeks"),
        ("width=month&week_start=sunday", "?week_start week_start_needs_weeks"),
        ("width=week&week_start=saturday", "?week_start unknown_week_start"),
        ("width=week&week_start=", "?week_start unknown_week_start"),
        ("width=week&week_start=monday&week_start=monday", "?week_start repeated_parameter"),
        ("width=weeks&week_start=sunday", "?width unknown_width"),
        ("width=week&from=2016-11-01&to=2026-11-20", "?from range_too_long"),
    ] {
        assert_eq!(refusals(&app, &me, &format!("/v1/rollups?{query}")).await, [refused], "{query}");
    }
    for path in ["/v1/rollups/summary", "/v1/buckets"] {
        let refused = refusals(&app, &me, &format!("{path}?week_start=sunday")).await;
        assert_eq!(refused, ["?week_start unknown_parameter"], "{path}");
    }
    assert_eq!(rollups(&app, &me, "width=week").await["data"], json!([]), "no usage is no week");
}
