//! Usage as other readers than the routes get it: typed requests in, typed answers out, and the same numbers.

use chrono::{DateTime, NaiveDate, Utc, Weekday};
use halfhour::features::dashboard_rollup::{
    Answered, AskedDays, BucketsRequest, Counters, Filters, GroupBy, HeatmapRequest, RollupsAnswer, RollupsRequest,
    SummaryRequest, WeekStart, Width,
};
use halfhour::kernel::bucket::Source;
use halfhour::kernel::problem::{Code, Problem};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::rollups::{Usage, half_hours};
use crate::support::{TestApp, TestDevice, TestUser, context, instant};

const DAYS: &str = "from=2026-11-01&to=2026-11-20";

fn days(from: &str, to: &str) -> AskedDays {
    let day = |text: &str| Some(text.parse().unwrap());
    AskedDays { from: day(from), to: day(to) }
}

fn november() -> AskedDays {
    days("2026-11-01", "2026-11-20")
}

/// A user with 36 buckets of two sources and four models on three days, folded; and another one with 7 tokens.
async fn two_users(app: &TestApp) -> (TestUser, TestDevice, TestUser) {
    let me = app.user("me", "Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    let hours = half_hours("2026-11-17T23:00:00Z", "2026-11-20T11:00:00Z").step_by(3).take(36);
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &buckets).await;
    let you = app.user("you", "Europe/Berlin").await;
    let other = app.device(&you, "desktop").await;
    app.post_usage(&other, &[Usage::input("2026-11-18T10:00:00Z", 7)]).await;
    app.drain().await;
    (me, device, you)
}

/// Sums as replies show them.
fn shown(sums: &Counters) -> Value {
    let named = Counters::NAMES.into_iter().zip(sums.values());
    named.map(|(name, count)| (name.to_owned(), json!(u64::try_from(count).unwrap()))).collect()
}

/// The counters of an object of a reply.
fn counters_of(object: &Value) -> Value {
    Counters::NAMES.into_iter().map(|name| (name.to_owned(), object[name].clone())).collect()
}

async fn reply(app: &TestApp, user: &TestUser, path: &str) -> Value {
    app.get(&user.viewer, path).await.expect_ok().clone()
}

/// The typed answer is about the same days as the reply, and from the same state of the rollup.
fn assert_same_state<T>(answered: &Answered<T>, reply: &Value) {
    let Answered { state, days, .. } = answered;
    assert_eq!((json!(days.from), json!(days.to)), (reply["from"].clone(), reply["to"].clone()));
    let says = (json!(state.time_zone()), json!(state.pending()), json!(state.version()));
    assert_eq!(says, (reply["time_zone"].clone(), reply["pending"].clone(), reply["version"].clone()));
}

/// As of when a reply is true.
fn as_of(reply: &Value) -> DateTime<Utc> {
    instant(reply["as_of"].as_str().unwrap())
}

async fn rollups(app: &TestApp, user_id: Uuid, request: RollupsRequest) -> Answered<RollupsAnswer> {
    app.answers().rollups(&context(), user_id, request.checked().unwrap()).await.unwrap()
}

#[tokio::test]
async fn rollups_say_what_the_route_says_page_by_page() {
    let app = TestApp::start().await;
    let (me, _, _) = two_users(&app).await;
    let group_by = GroupBy { source: true, model: true, device: false };
    for (width, name) in [
        (Width::HalfHour, "half_hour"),
        (Width::Hour, "hour"),
        (Width::Day, "day"),
        (Width::Week(WeekStart::Monday), "week"),
        (Width::Week(WeekStart::Sunday), "week&week_start=sunday"),
        (Width::Month, "month"),
    ] {
        let path = format!("/v1/rollups?{DAYS}&width={name}&group_by=source,model");
        let whole = reply(&app, &me, &path).await;
        let mut expected = Vec::new();
        for interval in whole["data"].as_array().unwrap() {
            for result in interval["results"].as_array().unwrap() {
                let key = [&interval["start"], &interval["end"], &result["source"], &result["model"]].map(Value::clone);
                expected.push((key, counters_of(result)));
            }
        }
        assert!(expected.len() > 3, "{name}: {expected:?}");

        let request = RollupsRequest { days: november(), width, group_by, limit: Some(2), ..RollupsRequest::default() };
        let mut request = request.checked().unwrap();
        let (mut found, mut pages) = (Vec::new(), 0);
        loop {
            let answered = app.answers().rollups(&context(), me.user_id, request.clone()).await.unwrap();
            assert_same_state(&answered, &whole);
            assert!(answered.state.as_of() >= as_of(&whole), "nothing waits, so the later read is true as of later");
            assert_eq!(
                shown(&answered.answer.totals.sums),
                whole["totals"],
                "{name}: the totals are those of all pages"
            );
            for interval in answered.answer.intervals {
                for group in interval.groups {
                    let (start, end) = (json!(interval.span.starts_at), json!(interval.span.ends_at));
                    found.push((
                        [start, end, json!(group.key.source), json!(group.key.model)],
                        shown(&group.priced.sums),
                    ));
                }
            }
            pages += 1;
            let Some(next) = answered.answer.next else { break };
            request = request.after(Some(next));
        }
        assert_eq!(found, expected, "{name}");
        assert_eq!(pages, expected.len().div_ceil(2), "{name}");
    }
}

#[tokio::test]
async fn the_summary_and_the_heatmap_say_what_their_routes_say() {
    let app = TestApp::start().await;
    let (me, _, _) = two_users(&app).await;
    let request = SummaryRequest { days: november(), ..SummaryRequest::default() }.checked().unwrap();
    let answered = app.answers().summary(&context(), me.user_id, request).await.unwrap();
    let told = reply(&app, &me, &format!("/v1/rollups/summary?{DAYS}")).await;
    assert_same_state(&answered, &told);
    assert!(answered.state.as_of() <= as_of(&told), "the reply was read later");
    let summary = answered.answer;
    assert_eq!(
        [summary.before.from, summary.before.to].map(|day| json!(day)),
        ["previous_from", "previous_to"].map(|name| told[name].clone())
    );
    let both =
        |sums: &halfhour::features::dashboard_rollup::BothSums| (shown(&sums.current.sums), shown(&sums.previous.sums));
    let told_both = |object: &Value| (object["totals"].clone(), object["previous_totals"].clone());
    assert_eq!(both(&summary.totals), told_both(&told));
    for (column, found, list) in
        [("source", &summary.by_source, &told["by_source"]), ("model", &summary.by_model, &told["by_model"])]
    {
        let list = list.as_array().unwrap().iter().map(|part| (part[column].clone(), told_both(part)));
        let found: Vec<_> = found.iter().map(|(name, sums)| (json!(name), both(sums))).collect();
        assert!(found.len() > 1 && found == list.collect::<Vec<_>>(), "{column}: {found:?}");
    }
    assert_eq!(
        (json!(summary.streaks.active_days), json!(summary.streaks.longest_streak)),
        (told["active_days"].clone(), told["longest_streak"].clone())
    );

    for (request, query, length) in [
        (HeatmapRequest { weeks: Some(3), ..HeatmapRequest::default() }, "weeks=3", 21),
        (
            HeatmapRequest { week_start: WeekStart::Sunday, weeks: Some(2), ..HeatmapRequest::default() },
            "weeks=2&week_start=sunday",
            14,
        ),
        (HeatmapRequest { days: november(), ..HeatmapRequest::default() }, DAYS, 20),
    ] {
        let starts_on = if request.week_start == WeekStart::Sunday { Weekday::Sun } else { Weekday::Mon };
        let answered = app.answers().heatmap(&context(), me.user_id, request.checked().unwrap()).await.unwrap();
        let told = reply(&app, &me, &format!("/v1/rollups/heatmap?{query}")).await;
        assert_same_state(&answered, &told);
        assert_eq!(json!(answered.state.today()), told["today"]);
        let days = answered.answer.days.iter().map(|day| {
            let [tokens, requests] = [day.total_tokens, day.request_count].map(|count| u64::try_from(count).unwrap());
            let week = day.day.week(starts_on).first_day();
            json!({"day": day.day, "week": week, "total_tokens": tokens, "request_count": requests})
        });
        assert_eq!(days.collect::<Value>(), told["data"], "{query}");
        assert_eq!(told["data"].as_array().unwrap().len(), length, "{query}");
    }
}

#[tokio::test]
async fn buckets_say_what_the_route_says_and_filters_hold_for_them() {
    let app = TestApp::start().await;
    let (me, _, _) = two_users(&app).await;
    let sources = vec![Source::parse("codex").unwrap()];
    let filters = Filters { sources, ..Filters::default() };
    let request = BucketsRequest { days: november(), filters, limit: Some(5), ..BucketsRequest::default() };
    let mut request = request.checked().unwrap();
    let told = reply(&app, &me, &format!("/v1/buckets?{DAYS}&source=codex&limit=1000")).await;
    let expected: Vec<(DateTime<Utc>, String, DateTime<Utc>)> = told["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| {
            let text = |name: &str| bucket[name].as_str().unwrap();
            (instant(text("hour_start")), text("model").to_owned(), instant(text("observed_at")))
        })
        .collect();
    let mut found = Vec::new();
    loop {
        let answered = app.answers().buckets(&context(), me.user_id, request.clone()).await.unwrap();
        assert_same_state(&answered, &told);
        assert!(answered.answer.buckets.iter().all(|bucket| bucket.key.source == "codex"));
        found.extend(
            answered
                .answer
                .buckets
                .into_iter()
                .map(|bucket| (bucket.key.hour_start, bucket.key.model, bucket.observed_at)),
        );
        let Some(next) = answered.answer.next else { break };
        request = request.after(Some(next));
    }
    assert_eq!((found.len(), &found), (12, &expected));
}

#[tokio::test]
async fn changes_that_wait_are_pending_and_as_of_is_before_them() {
    let app = TestApp::start().await;
    let (me, device, _) = two_users(&app).await;
    let folded = rollups(&app, me.user_id, RollupsRequest::default()).await;
    assert!(!folded.state.pending());
    app.post_usage(&device, &[Usage::input("2026-11-20T11:30:00Z", 1)]).await;
    let waiting = rollups(&app, me.user_id, RollupsRequest::default()).await;
    assert!(waiting.state.pending());
    assert_eq!(shown(&waiting.answer.totals.sums), shown(&folded.answer.totals.sums));
    let oldest = app.ask("select to_json(min(created_at)) #>> '{}' from usage.outbox").await;
    assert_eq!(waiting.state.as_of(), instant(&oldest[0]));
    app.drain().await;
    let current = rollups(&app, me.user_id, RollupsRequest::default()).await;
    assert!(!current.state.pending() && current.state.version() > waiting.state.version());
    assert!(current.state.as_of() > waiting.state.as_of());
}

/// What is wrong, as pairs of pointer and code.
fn violations(problem: &Problem) -> Vec<(String, String)> {
    problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code.to_owned())).collect()
}

#[tokio::test]
async fn what_the_routes_refuse_is_refused_with_the_same_violations() {
    let app = TestApp::start().await;
    let (me, _, _) = two_users(&app).await;
    let refused = async |path: &str| {
        let reply = app.get(&me.viewer, path).await;
        let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap().clone();
        let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
        errors.iter().map(|error| (text(error, "pointer"), text(error, "code"))).collect::<Vec<_>>()
    };
    let long = days("2020-01-01", "2026-11-20");
    let rollups = RollupsRequest { days: long, limit: Some(1001), ..RollupsRequest::default() };
    let summary = SummaryRequest { days: long, ..SummaryRequest::default() };
    let buckets = BucketsRequest { days: long, time_zone: Some("no zone".to_owned()), ..BucketsRequest::default() };
    let heatmap = HeatmapRequest { weeks: Some(105), ..HeatmapRequest::default() };
    let both = HeatmapRequest { days: long, weeks: Some(4), ..HeatmapRequest::default() };
    for (problem, path) in [
        (rollups.checked().unwrap_err(), "/v1/rollups?from=2020-01-01&to=2026-11-20&limit=1001"),
        (summary.checked().unwrap_err(), "/v1/rollups/summary?from=2020-01-01&to=2026-11-20"),
        (buckets.checked().unwrap_err(), "/v1/buckets?from=2020-01-01&to=2026-11-20&time_zone=no+zone"),
        (heatmap.checked().unwrap_err(), "/v1/rollups/heatmap?weeks=105"),
        (both.checked().unwrap_err(), "/v1/rollups/heatmap?from=2020-01-01&to=2026-11-20&weeks=4"),
    ] {
        assert_eq!((problem.code(), violations(&problem)), (Code::Invalid, refused(path).await), "{path}");
    }

    // Some rules need the database, or the day of today.
    let ask = async |request: RollupsRequest| {
        let answer = app.answers().rollups(&context(), me.user_id, request.checked().unwrap()).await;
        answer.map(|_| ()).unwrap_err()
    };
    let nowhere = RollupsRequest { time_zone: Some("Nowhere/Land".to_owned()), ..RollupsRequest::default() };
    let problem = ask(nowhere).await;
    assert_eq!(violations(&problem), refused("/v1/rollups?time_zone=Nowhere/Land").await);
    let open = AskedDays { from: Some("2020-01-01".parse().unwrap()), to: None };
    let problem = ask(RollupsRequest { days: open, ..RollupsRequest::default() }).await;
    assert_eq!(violations(&problem), refused("/v1/rollups?from=2020-01-01").await);
    assert_eq!(app.pools.read.load().in_use, 0, "a refusal holds no connection");
}

#[tokio::test]
async fn a_page_of_another_zones_days_is_refused() {
    let app = TestApp::start().await;
    let (me, _, _) = two_users(&app).await;
    let request = RollupsRequest { limit: Some(1), ..RollupsRequest::default() }.checked().unwrap();
    let first = app.answers().rollups(&context(), me.user_id, request.clone()).await.unwrap();
    app.want_zone(&me, "Asia/Kathmandu").await;
    app.drain().await;
    let problem = app.answers().rollups(&context(), me.user_id, request.after(first.answer.next)).await.unwrap_err();
    assert_eq!(problem.code(), Code::Malformed);
    assert_eq!(violations(&problem), [("?cursor".to_owned(), "cursor_outdated".to_owned())]);
}

#[tokio::test]
async fn a_users_answers_hold_nothing_of_others() {
    let app = TestApp::start().await;
    let (me, device, you) = two_users(&app).await;
    let tokens =
        async |user_id| rollups(&app, user_id, RollupsRequest::default()).await.answer.totals.sums.total_tokens;
    assert_eq!(tokens(you.user_id).await, 7);
    assert!(tokens(me.user_id).await > 7);
    let buckets = BucketsRequest::default().checked().unwrap();
    let buckets = app.answers().buckets(&context(), you.user_id, buckets).await.unwrap().answer.buckets;
    assert_eq!(buckets.len(), 1);
    // Naming somebody else's device does not reach its buckets either.
    let filters = Filters { devices: vec![device.device_id], ..Filters::default() };
    let request = SummaryRequest { filters: filters.clone(), ..SummaryRequest::default() }.checked().unwrap();
    let summary = app.answers().summary(&context(), you.user_id, request).await.unwrap().answer;
    assert_eq!((summary.totals.current.sums.total_tokens, summary.by_source.len()), (0, 0));
    let request = BucketsRequest { filters, ..BucketsRequest::default() }.checked().unwrap();
    assert_eq!(app.answers().buckets(&context(), you.user_id, request).await.unwrap().answer.buckets.len(), 0);
}

#[tokio::test]
async fn what_is_written_between_opening_and_answering_is_not_seen() {
    let app = TestApp::start().await;
    let (me, device, _) = two_users(&app).await;
    let before = rollups(&app, me.user_id, RollupsRequest::default()).await;
    let half_hours = RollupsRequest { width: Width::HalfHour, ..RollupsRequest::default() };
    let open = async |request: RollupsRequest| {
        app.answers().open(&context(), me.user_id, request.checked().unwrap()).await.unwrap()
    };
    let (from_rollup, from_buckets) = (open(RollupsRequest::default()).await, open(half_hours.clone()).await);
    assert!(!from_rollup.is_from_buckets() && from_buckets.is_from_buckets());
    let today: NaiveDate = "2026-11-20".parse().unwrap();
    assert_eq!((from_rollup.state().today(), from_rollup.days().to), (today, today));

    app.post_usage(&device, &[Usage::input("2026-11-20T11:30:00Z", 1_000_000)]).await;
    app.drain().await;
    for snapshot in [from_rollup, from_buckets] {
        let Answered { state, answer, .. } = snapshot.answer().await.unwrap();
        assert_eq!(shown(&answer.totals.sums), shown(&before.answer.totals.sums));
        assert_eq!((state.pending(), state.version()), (false, before.state.version()));
    }
    for request in [RollupsRequest::default(), half_hours] {
        let after = rollups(&app, me.user_id, request).await;
        assert_eq!(after.answer.totals.sums.total_tokens, before.answer.totals.sums.total_tokens + 1_000_000);
    }
}

#[tokio::test]
async fn a_snapshot_that_is_closed_says_its_state_or_what_went_wrong() {
    let app = TestApp::start().await;
    let (me, _, _) = two_users(&app).await;
    let open = async || {
        let request = HeatmapRequest::default().checked().unwrap();
        app.answers().open(&context(), me.user_id, request).await.unwrap()
    };
    let closed = open().await.close(Ok("nothing was read")).await.unwrap();
    assert_eq!((closed.answer, closed.state.time_zone()), ("nothing was read", "Europe/Berlin"));
    let problem = Problem::new(Code::NotFound, "There is nothing.");
    let refused = open().await.close::<()>(Err(problem)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(app.pools.read.load().in_use, 0, "neither holds a connection");
}
