//! Tokens whose model a tracker does not know yet, and names later: vibeusage and TokenTracker send them under `unknown`
//! alone, and take them back beside the row of the model that has them now. Whatever the order in which reports begin and
//! arrive, however often they come and however late: what a report says of `unknown` beside a model stands, and what one
//! says of it alone gives way.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::backfill::{bucket, import};
use crate::captures::{LATER, Slow, capture, expected, standing};
use crate::reporting::{World, taken};
use crate::support::{TestApp, TestDevice};

const PRODUCTS: [&str; 2] = ["vu", "tt"];

/// When the captured half hour is more than 25 days ago.
const LATE: &str = "2026-12-31T00:00:00Z";

/// What a tracker says of a half hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    /// All tokens are of an unknown model.
    Unknown,
    /// They are taken back, and the model has them.
    Retract,
    /// The same with its rows the other way round.
    Backwards,
    /// The model has them, and others are of an unknown one: what a tracker says that builds its history anew.
    Both,
}
use Report::{Backwards, Both, Retract, Unknown};

/// How many tokens `unknown` has in [`Both`].
const APART: u64 = 40;

impl Report {
    /// The report of one product, about another half hour.
    fn body(self, product: &str, hour: &str) -> Value {
        let name = if self == Unknown { "unknown" } else { "retract" };
        let mut rows = capture(&format!("{product}-ingest-{name}")).body()["hourly"].as_array().unwrap().clone();
        if self == Backwards {
            rows.reverse();
        }
        for row in &mut rows {
            row["hour_start"] = hour.into();
            if self == Both && row["model"] == "unknown" {
                (row["input_tokens"], row["total_tokens"]) = (APART.into(), APART.into());
            }
        }
        json!({ "hourly": rows })
    }

    /// What `unknown` is said to have for good, if anything is.
    const fn settles(self) -> Option<u64> {
        match self {
            Unknown => None,
            Retract | Backwards => Some(0),
            Both => Some(APART),
        }
    }
}

/// Half hours before the captured one, each used once.
fn hours() -> impl Iterator<Item = String> {
    let captured: DateTime<Utc> = "2026-11-20T17:00:00Z".parse().unwrap();
    (0..).map(move |number| (captured - TimeDelta::minutes(30 * number)).to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Every sequence of so many.
fn sequences(reports: &[Report], length: usize) -> Vec<Vec<Report>> {
    (0..length).fold(vec![Vec::new()], |all: Vec<Vec<Report>>, _| {
        all.iter().flat_map(|sequence| reports.iter().map(move |next| [&sequence[..], &[*next]].concat())).collect()
    })
}

async fn send(app: &TestApp, product: &str, device: &TestDevice, (report, hour): (Report, &str)) {
    let call = capture(&format!("{product}-ingest"));
    call.send(app, &device.token, &report.body(product, hour)).await.expect_ok();
}

/// Sends each sequence about a half hour of its own, as far as it goes before usage of then is late, and then the rest of
/// it. Looks whether `unknown` ends as the last of its reports says that settles it, and the model with all that is its.
async fn check(product: &str, sequences: &[(Vec<Report>, Vec<Report>)]) {
    let World { app, laptop, .. } = &World::new().await;
    let mut lines = Vec::new();
    for ((on_time, late), hour) in sequences.iter().zip(hours()) {
        for report in on_time {
            send(app, product, laptop, (*report, &hour)).await;
        }
        let last = on_time.iter().chain(late).rev().find_map(|report| report.settles()).unwrap();
        let unknown = if last == 0 { String::new() } else { format!(" input={last}") };
        lines.push(format!("codex unknown {hour}{unknown} total={last}"));
        lines.push(format!("codex gpt-5.2 {hour} input=200 cache_read=100 output=30 reasoning=5 total=330"));
    }
    app.clock.set(LATE.parse().unwrap());
    for ((_, late), hour) in sequences.iter().zip(hours()) {
        for report in late {
            send(app, product, laptop, (*report, &hour)).await;
        }
    }
    let found = standing(app, laptop).await;
    for (sequence, hour) in sequences.iter().zip(hours()) {
        let of_hour = |lines: &[String]| lines.iter().filter(|line| line.contains(&hour)).cloned().collect::<Vec<_>>();
        let (mut found, mut lines) = (of_hour(&found), of_hour(&lines));
        found.sort();
        lines.sort();
        assert_eq!(found, lines, "{product}: {sequence:?}");
    }
    assert_eq!(found.len(), lines.len());
}

fn settles(sequence: &[Report]) -> bool {
    sequence.iter().any(|report| report.settles().is_some())
}

#[tokio::test]
async fn a_report_and_its_retraction_end_alike_in_every_order_and_repetition() {
    let all = (1..=4).flat_map(|length| sequences(&[Unknown, Retract, Backwards], length));
    let all: Vec<_> = all.filter(|sequence| settles(sequence)).map(|sequence| (sequence, Vec::new())).collect();
    assert_eq!(all.len(), 3 + 9 + 27 + 81 - 4);
    for product in PRODUCTS {
        check(product, &all).await;
    }
}

#[tokio::test]
async fn it_does_not_matter_which_of_them_come_late() {
    let all = (2..=3).flat_map(|length| sequences(&[Unknown, Retract], length)).filter(|sequence| settles(sequence));
    let cut = |sequence: Vec<Report>| {
        (0..sequence.len()).map(move |at| (sequence[..at].to_vec(), sequence[at..].to_vec())).collect::<Vec<_>>()
    };
    let all: Vec<_> = all.flat_map(cut).collect();
    assert_eq!(all.len(), 3 * 2 + 7 * 3);
    for product in PRODUCTS {
        check(product, &all).await;
    }
}

#[tokio::test]
async fn tokens_that_are_said_to_be_of_an_unknown_model_beside_a_known_one_are_counted_anew() {
    let all = (3..=4).flat_map(|length| sequences(&[Unknown, Retract, Both], length));
    let each = |sequence: &Vec<Report>| [Unknown, Retract, Both].iter().all(|report| sequence.contains(report));
    let all: Vec<_> = all.filter(each).map(|sequence| (sequence, Vec::new())).collect();
    assert_eq!(all.len(), 6 + 36);
    for product in PRODUCTS {
        check(product, &all).await;
    }
}

#[tokio::test]
async fn an_overtaken_report_gives_nothing_back() {
    for product in PRODUCTS {
        let World { app, laptop, .. } = &World::new().await;
        let (unknown, retract) =
            (capture(&format!("{product}-ingest-unknown")), capture(&format!("{product}-ingest-retract")));
        let slow = Slow::begin(app, laptop, (unknown.path(), &unknown.body())).await;
        assert_eq!(retract.replay(app, &laptop.token).await.expect_ok(), &taken(2, 0));
        assert_eq!(slow.end().await, taken(0, 1));
        assert_eq!(
            unknown.replay(app, &laptop.token).await.expect_ok(),
            &taken(0, 1),
            "nor one that begins afterwards"
        );
        assert_eq!(standing(app, laptop).await, expected(&format!("{product}-ingest-retract")));
    }
}

#[tokio::test]
async fn reports_that_race_each_other_over_two_servers_end_alike() {
    let World { app, laptop, .. } = &World::new().await;
    let other = app.second_server().await;
    other.clock.set(LATER.parse().unwrap());
    let order = [Unknown, Retract, Unknown, Backwards, Unknown, Retract, Unknown, Unknown];
    for (product, hour) in PRODUCTS.into_iter().zip(hours()) {
        let sent = order.iter().zip([app, &other].into_iter().cycle());
        join_all(sent.map(|(report, server)| send(server, product, laptop, (*report, &hour)))).await;
    }
    let totals = "select concat_ws(' ', model, sum(total_tokens)) from usage.bucket group by model order by model";
    let totals = app.ask(totals).await;
    assert_eq!(totals, ["gpt-5.2 660", "unknown 0"]);
}

#[tokio::test]
async fn a_tracker_that_never_names_a_model_later_may_count_under_unknown_again() {
    let World { app, laptop, .. } = &World::new().await;
    let row = |model: &str, input: u64| {
        let row = &capture("vc-ingest").body()["buckets"][2];
        let none = json!({"model": model, "inputTokens": input, "outputTokens": 0, "cachedInputTokens": 0,
            "reasoningOutputTokens": 0, "totalTokens": input});
        crate::reporting::row(row, none)
    };
    for (buckets, total) in [(vec![row("unknown", 0), row("gpt", 5)], 0), (vec![row("unknown", 9)], 9)] {
        let call = capture("vc-ingest").send(app, &laptop.token, &json!({ "buckets": buckets })).await;
        assert_eq!(call.expect_ok()["ingested"], buckets.len(), "{}", call.json);
        let stands = app.ask("select total_tokens::text from usage.bucket where model = 'unknown'").await;
        assert_eq!(stands, [total.to_string()]);
    }
}

#[tokio::test]
async fn an_operator_corrects_what_a_tracker_has_settled_and_takes_it_back() {
    let World { app, ann, laptop } = &World::new().await;
    let (unknown, retract) = (capture("vu-ingest-unknown"), capture("vu-ingest-retract"));
    for report in [&unknown, &retract] {
        report.replay(app, &laptop.token).await.expect_ok();
    }
    app.drain().await;
    let stands = async || app.ask("select total_tokens::text from usage.bucket where model = 'unknown'").await;
    let correction = import(&[bucket(ann, laptop, "2026-11-20T17:00:00Z", "unknown", 7)]);
    let job = app.planned(&ann.operator, &correction).await;
    let done = app.executed(&ann.operator, &job).await;
    assert_eq!((&done["state"], stands().await), (&json!("succeeded"), vec!["7".to_owned()]), "{done}");
    // A report without a stamp of its own does not outweigh what an operator says.
    for report in [&retract, &unknown] {
        report.replay(app, &laptop.token).await.expect_ok();
        assert_eq!(stands().await, ["7"]);
    }
    app.rolled_back(&ann.operator, &done).await;
    assert_eq!(stands().await, ["0"], "what was settled meanwhile came to light");
    unknown.replay(app, &laptop.token).await.expect_ok();
    assert_eq!(stands().await, ["0"]);
}
