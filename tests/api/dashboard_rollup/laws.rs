//! The law of reads: for any range, filter and grouping, in any zone, whatever the width and the page, results add up to
//! the totals, and both are what a model of a few lines computes without the server and without PostgreSQL.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Timelike as _, Utc, Weekday};
use chrono_tz::Tz;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::{all_pages, day, results_of};
use crate::support::rollups::{Sums, Usage, add, half_hours, sums_of};
use crate::support::{TestApp, TestDevice, TestUser, instant};

/// The rollup's zones: offsets of a quarter of an hour, clocks that change by half an hour, at midnight, and at the dateline.
const ZONES: [&str; 6] =
    ["Asia/Kathmandu", "Pacific/Chatham", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "America/Havana"];
const WIDTHS: [&str; 7] =
    ["half_hour", "hour", "day", "week", "week&week_start=monday", "week&week_start=sunday", "month"];
const GROUPS: [&str; 3] = ["source", "model", "device"];
const QUESTIONS: usize = 60;

/// A bucket and the device that posted it.
type Posted = (usize, Usage);

#[derive(Clone, Debug)]
struct Question {
    width: &'static str,
    from: NaiveDate,
    to: NaiveDate,
    /// Another zone than the rollup's.
    zone: Option<&'static str>,
    groups: Vec<&'static str>,
    sources: Vec<&'static str>,
    models: Vec<&'static str>,
    device: Option<usize>,
    limit: usize,
}

/// Questions about the two months in which there is usage, and some days around them.
fn question() -> impl Strategy<Value = Question> {
    let range = (0..75_u64, 0..31_u64);
    let zone = prop_oneof![2 => Just(None), 1 => select(&ZONES[..]).prop_map(Some)];
    let groups = subsequence(GROUPS.to_vec(), 0..=3);
    let sources = prop_oneof![Just(Vec::new()), subsequence(vec!["codex", "claude-code", "amp"], 1..=3)];
    let models = prop_oneof![Just(Vec::new()), subsequence(vec!["gpt", "opus", "Opus-B"], 1..=2)];
    let device = prop_oneof![2 => Just(None), 1 => (0..2_usize).prop_map(Some)];
    (select(&WIDTHS[..]), range, zone, groups, sources, models, device, 1..40_usize).prop_map(
        |(width, (first, days), zone, groups, sources, models, device, limit)| {
            let from = day("2026-03-20") + Days::new(first);
            // What comes from the rollup may be long.
            let days = if is_of_clock(width) || zone.is_some() { days } else { days * 3 };
            Question { width, from, to: from + Days::new(days), zone, groups, sources, models, device, limit }
        },
    )
}

/// Whether intervals are half hours or hours, and thus known by their first instant and not by their name.
fn is_of_clock(width: &str) -> bool {
    width.ends_with("hour")
}

/// When the local hour of an instant begins: as far back as the clock runs on and shows the same hour.
fn hour_start(zone: Tz, at: DateTime<Utc>) -> DateTime<Utc> {
    let shows = |minutes: i64| (at - TimeDelta::minutes(minutes)).with_timezone(&zone).naive_local();
    let runs_on = |minutes: &i64| shows(0) - shows(*minutes) == TimeDelta::minutes(*minutes);
    let same_hour = |minutes: &i64| shows(*minutes).hour() == shows(0).hour();
    let back = (0..60).take_while(|minutes| runs_on(minutes) && same_hour(minutes)).last().unwrap();
    at - TimeDelta::minutes(back)
}

impl Question {
    fn path(&self, devices: &[TestDevice]) -> String {
        let device = self.device.map(|device| devices[device].device_id.to_string());
        let route = "/v1/rollups?";
        let mut query = url::form_urlencoded::Serializer::for_suffix(route.to_owned(), route.len());
        let (width, week_start) = self.width.split_once("&week_start=").unzip();
        query.append_pair("width", width.unwrap_or(self.width)).extend_pairs(week_start.map(|day| ("week_start", day)));
        query.append_pair("from", &self.from.to_string()).append_pair("to", &self.to.to_string());
        query.extend_pairs(self.zone.iter().map(|zone| ("time_zone", zone)));
        query.extend_pairs(self.groups.iter().map(|group| ("group_by", group)));
        query.extend_pairs(self.sources.iter().map(|source| ("source", source)));
        query.extend_pairs(self.models.iter().map(|model| ("model", model)));
        query.extend_pairs(device.iter().map(|device| ("device", device)));
        query.finish()
    }

    /// What must be answered: sums by the interval's name and the group.
    fn answer(&self, home: Tz, buckets: &[Posted], devices: &[TestDevice]) -> BTreeMap<(String, Vec<String>), Sums> {
        let zone = self.zone.map_or(home, |zone| zone.parse().unwrap());
        let mut answer = BTreeMap::<_, Sums>::new();
        for (device, bucket) in buckets {
            let local = bucket.hour_start.with_timezone(&zone);
            let is_wanted = (self.from..=self.to).contains(&local.date_naive())
                && (self.sources.is_empty() || self.sources.contains(&bucket.source))
                && (self.models.is_empty() || self.models.contains(&bucket.model))
                && self.device.is_none_or(|wanted| wanted == *device);
            if is_wanted {
                let name = match self.width {
                    "half_hour" => bucket.hour_start.to_rfc3339(),
                    "hour" => hour_start(zone, bucket.hour_start).to_rfc3339(),
                    "day" => local.format("%Y-%m-%d").to_string(),
                    "month" => local.format("%Y-%m").to_string(),
                    "week&week_start=sunday" => local.date_naive().week(Weekday::Sun).first_day().to_string(),
                    _ => local.format("%G-W%V").to_string(),
                };
                let group = self.groups.iter().map(|group| match *group {
                    "source" => bucket.source.to_owned(),
                    "model" => bucket.model.to_owned(),
                    _ => devices[*device].device_id.to_string(),
                });
                add(answer.entry((name, group.collect())).or_default(), &bucket.sums());
            }
        }
        answer
    }

    /// What was answered, in the same form. Fails where a key comes twice.
    fn answered(&self, results: &[Value]) -> BTreeMap<(String, Vec<String>), Sums> {
        let mut answer = BTreeMap::new();
        for result in results {
            let start: DateTime<Utc> = instant(result["start"].as_str().unwrap());
            let label = result["label"].as_str().unwrap();
            let name = if is_of_clock(self.width) { start.to_rfc3339() } else { label.to_owned() };
            let group = self.groups.iter().map(|group| result[group].as_str().unwrap().to_owned()).collect();
            assert!(answer.insert((name, group), sums_of(result)).is_none(), "{result} comes twice");
        }
        answer
    }
}

/// Usage of two devices around every change of clocks in April 2026, and a few hours of every day.
fn usage() -> Vec<Posted> {
    let busy = [("2026-04-04T10:00:00Z", "2026-04-05T20:00:00Z"), ("2026-04-23T16:00:00Z", "2026-04-25T00:00:00Z")];
    let hours = busy.into_iter().flat_map(|(first, last)| half_hours(first, last));
    let others = half_hours("2026-03-25T00:00:00Z", "2026-05-25T00:00:00Z").step_by(17);
    let mut hours: Vec<_> = hours.chain(others).collect();
    hours.sort();
    hours.dedup();
    hours
        .into_iter()
        .zip(1..)
        .map(|(hour, number)| (usize::from(number % 5 == 0), Usage::numbered(hour, number)))
        .collect()
}

async fn post(app: &TestApp, user: &TestUser, buckets: &[Posted]) -> Vec<TestDevice> {
    let devices = vec![app.device(user, "laptop").await, app.device(user, "tower").await];
    for (number, device) in devices.iter().enumerate() {
        let mine: Vec<_> = buckets.iter().filter(|(by, _)| *by == number).map(|(_, bucket)| bucket.clone()).collect();
        app.post_usage(device, &mine).await;
    }
    devices
}

#[tokio::test]
async fn intervals_of_every_width_add_up_to_the_totals_for_any_range_filter_group_zone_and_page() {
    let app = TestApp::start().await;
    let buckets = usage();
    let mut runner = TestRunner::deterministic();
    for name in ZONES {
        let zone: Tz = name.parse().unwrap();
        let me = app.user(name, name).await;
        let devices = post(&app, &me, &buckets).await;
        app.drain().await;
        let mut found = 0;
        for _ in 0..QUESTIONS {
            let question = question().new_tree(&mut runner).unwrap().current();
            let path = question.path(&devices);
            let whole = all_pages(&app, &me, &path).await;
            let results = results_of(&whole);
            let expected = question.answer(zone, &buckets, &devices);
            assert_eq!(question.answered(&results), expected, "{name} {question:?}");
            let mut totals = Sums::default();
            for sums in expected.values() {
                add(&mut totals, sums);
            }

            let paged = all_pages(&app, &me, &format!("{path}&limit={}", question.limit)).await;
            assert_eq!(results_of(&paged), results, "{name} {question:?}: pages are the whole, in its order");
            assert_eq!(
                paged.len(),
                results.len().div_ceil(question.limit).max(1),
                "{name} {question:?}: pages are full"
            );
            for page in whole.iter().chain(&paged) {
                assert_eq!(sums_of(&page["totals"]), totals, "{name} {question:?}: totals of every page");
                assert_eq!(page["pending"], false);
            }
            found += results.len();
        }
        assert!(found > QUESTIONS, "only {found} results were compared");
    }
}

#[tokio::test]
async fn every_width_adds_up_to_the_same_totals_whichever_zone_counts_the_days() {
    let app = TestApp::start().await;
    let buckets = usage();
    let me = app.user("me", "Pacific/Chatham").await;
    post(&app, &me, &buckets).await;
    app.drain().await;
    let mut sums = Vec::new();
    for zone in ["Pacific/Chatham", "UTC", "America/Havana"] {
        // A day without usage on either side: no zone's days cut anything off.
        for width in WIDTHS {
            let (mut of_results, mut of_totals) = (Sums::default(), Sums::default());
            for (from, to) in [("2026-03-23", "2026-04-20"), ("2026-04-21", "2026-05-10"), ("2026-05-11", "2026-05-27")]
            {
                let path = format!("/v1/rollups?width={width}&from={from}&to={to}&time_zone={zone}");
                let pages = all_pages(&app, &me, &path).await;
                for result in results_of(&pages) {
                    add(&mut of_results, &sums_of(&result));
                }
                add(&mut of_totals, &sums_of(&pages[0]["totals"]));
            }
            sums.extend([of_results, of_totals]);
        }
    }
    let mut all = Sums::default();
    for (_, bucket) in &buckets {
        add(&mut all, &bucket.sums());
    }
    assert!(sums.iter().all(|sums| *sums == all), "{sums:?}");
}
