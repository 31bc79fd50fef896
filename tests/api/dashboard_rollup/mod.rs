//! What dashboards read.

mod buckets;
mod conditional;
mod edges;
mod heatmap;
mod hours;
mod laws;
mod pages;
mod plans;
mod summary;
mod weeks;
mod widths;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::rollups::{Sums, Usage, add, day_start, fold, groups_of, half_hours, sums_of};
use crate::support::{TestApp, TestUser, instant};

/// What a row of the rollup, or of a bucket, is given; the rest is generated.
const DAILY: &str = "rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens, \
    cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count, \
    bucket_count)";
async fn rollups(app: &TestApp, user: &TestUser, query: &str) -> Value {
    app.get(&user.viewer, &format!("/v1/rollups?{query}")).await.expect_ok().clone()
}

/// What is wrong with a request, as `pointer code`.
async fn refusals(app: &TestApp, user: &TestUser, path: &str) -> Vec<String> {
    let reply = app.get(&user.viewer, path).await;
    let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap().clone();
    let text = |error: &Value, key: &str| error[key].as_str().unwrap().to_owned();
    errors.iter().map(|error| format!("{} {}", text(error, "pointer"), text(error, "code"))).collect()
}

/// Asks for a whole list, page by page, and returns the pages.
async fn all_pages(app: &TestApp, user: &TestUser, path: &str) -> Vec<Value> {
    let mut pages = vec![app.get(&user.viewer, path).await.expect_ok().clone()];
    while let Some(cursor) = pages.last().unwrap()["next_cursor"].as_str() {
        let next = app.get(&user.viewer, &format!("{path}&cursor={cursor}")).await.expect_ok().clone();
        pages.push(next);
    }
    pages
}

/// Every result of some pages with the interval it belongs to, in order.
fn results_of(pages: &[Value]) -> Vec<Value> {
    let intervals = pages.iter().flat_map(|page| page["data"].as_array().unwrap());
    let results = intervals.flat_map(|interval| {
        interval["results"].as_array().unwrap().iter().map(|result| {
            let mut result = result.clone();
            for key in ["start", "end", "label"] {
                result[key] = interval[key].clone();
            }
            result
        })
    });
    results.collect()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// The days around which the zones below change their clocks, and an ordinary one.
const WINDOWS: [(&str, &str); 6] = [
    ("2026-03-07T00:00:00Z", "2026-03-10T00:00:00Z"),
    ("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z"),
    ("2026-04-03T12:00:00Z", "2026-04-06T12:00:00Z"),
    ("2026-04-22T12:00:00Z", "2026-04-25T12:00:00Z"),
    ("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z"),
    ("2026-10-30T12:00:00Z", "2026-11-02T12:00:00Z"),
];

#[tokio::test]
async fn the_rollup_is_the_fold_of_the_buckets_in_every_zone() {
    let app = TestApp::start().await;
    let hours = WINDOWS.into_iter().flat_map(|(first, last)| half_hours(first, last));
    let buckets: Vec<_> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    for name in [
        "UTC",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "Australia/Lord_Howe",
        "America/Sao_Paulo",
        "America/Havana",
        "Africa/Cairo",
        "Atlantic/Azores",
    ] {
        let zone: Tz = name.parse().unwrap();
        let me = app.user(name, name).await;
        let device = app.device(&me, "laptop").await;
        app.post_usage(&device, &buckets).await;
        app.drain().await;

        let reply = rollups(&app, &me, "from=2026-03-01&to=2026-11-20&group_by=source,model").await;
        let expected = fold(&buckets, zone);
        assert_eq!(groups_of(&reply), expected, "{name}");
        let mut totals = Sums::default();
        for sums in expected.values().flat_map(|groups| groups.values()) {
            add(&mut totals, sums);
        }
        assert_eq!(sums_of(&reply["totals"]), totals, "{name}");
        assert_eq!((&reply["time_zone"], &reply["pending"]), (&json!(name), &json!(false)));

        let labels: Vec<_> = expected.keys().cloned().collect();
        let intervals = reply["data"].as_array().unwrap();
        for (interval, label) in intervals.iter().zip(labels) {
            assert_eq!(interval["label"], label, "{name}: ascending");
            let (start, end) = (day_start(zone, day(&label)), day_start(zone, day(&label).succ_opt().unwrap()));
            let says = |key: &str| instant(interval[key].as_str().unwrap());
            assert_eq!((says("start"), says("end")), (start, end), "{name} {label}");
        }
    }
}

#[tokio::test]
async fn a_falling_snapshot_lowers_the_rollup() {
    let app = TestApp::start().await;
    let me = app.user("me", "Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 900), Usage::input("2026-11-20T10:30:00Z", 5)])
        .await;
    app.drain().await;
    assert_eq!(rollups(&app, &me, "").await["totals"]["input_tokens"], 905);
    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 100)]).await;
    app.drain().await;
    let reply = rollups(&app, &me, "").await;
    assert_eq!(reply["totals"]["input_tokens"], 105);
    assert_eq!((&reply["totals"]["bucket_count"], &reply["version"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn a_bucket_moved_to_zero_still_counts_as_a_bucket_and_a_deleted_one_is_gone() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T10:00:00Z", 7), Usage::input("2026-11-20T10:00:00Z", 8)]).await;
    app.post_usage(&device, &[Usage::input("2026-11-19T10:00:00Z", 0)]).await;
    app.drain().await;
    let reply = rollups(&app, &me, "from=2026-11-19&to=2026-11-19").await;
    assert_eq!(reply["data"][0]["results"][0]["bucket_count"], 1);
    assert_eq!(reply["data"][0]["results"][0]["total_tokens"], 0);

    app.tell(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select user_id, 'bucket_changed', hour_start::date, hour_start, hour_start, 'live', user_id from usage.bucket
         where hour_start = '2026-11-19T10:00:00Z';
         delete from usage.bucket where hour_start = '2026-11-19T10:00:00Z'",
    )
    .await;
    app.drain().await;
    assert_eq!(rollups(&app, &me, "from=2026-11-19&to=2026-11-19").await["data"], json!([]));
    assert_eq!(app.ask("select day::text from rollup.daily").await, ["2026-11-20"]);
}

#[tokio::test]
async fn a_reply_says_as_of_when_it_is_true_and_whether_more_is_pending() {
    let app = TestApp::start().await;
    let me = app.user("me", "Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    let empty = rollups(&app, &me, "").await;
    assert_eq!((&empty["pending"], &empty["version"], &empty["data"]), (&json!(false), &json!(0), &json!([])));
    assert_eq!(empty["time_zone"], "Asia/Kathmandu");

    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 1)]).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:30:00Z", 1)]).await;
    let oldest = app.ask("select to_json(min(created_at))#>>'{}' from usage.outbox").await.remove(0);
    let waiting = rollups(&app, &me, "").await;
    assert_eq!(waiting["pending"], true);
    assert_eq!(instant(waiting["as_of"].as_str().unwrap()), instant(&oldest), "the oldest event, not the newest");
    assert_eq!(waiting["totals"]["bucket_count"], 0, "nothing newer than as_of shows");

    app.tell("update usage.outbox set parked_at = now() where id = (select min(id) from usage.outbox)").await;
    let parked = rollups(&app, &me, "").await;
    assert_eq!(parked["as_of"], waiting["as_of"], "a parked event still bounds what is true");

    app.drain().await;
    let folded = rollups(&app, &me, "").await;
    assert_eq!((&folded["pending"], &folded["totals"]["bucket_count"]), (&json!(false), &json!(2)));
    assert!(instant(folded["as_of"].as_str().unwrap()) > instant(&oldest));
}

#[tokio::test]
async fn two_users_see_only_their_own() {
    let app = TestApp::start().await;
    let (me, you) = (app.user("me", "UTC").await, app.user("you", "UTC").await);
    let (mine, yours) = (app.device(&me, "laptop").await, app.device(&you, "laptop").await);
    app.post_usage(&mine, &[Usage::input("2026-11-20T10:00:00Z", 3)]).await;
    app.drain().await;
    app.post_usage(&yours, &[Usage::input("2026-11-20T10:00:00Z", 40)]).await;
    let (for_me, for_you) = (rollups(&app, &me, "").await, rollups(&app, &you, "").await);
    assert_eq!((&for_me["totals"]["input_tokens"], &for_me["pending"]), (&json!(3), &json!(false)));
    assert_eq!((&for_you["totals"]["input_tokens"], &for_you["pending"]), (&json!(0), &json!(true)));
    let by_device = rollups(&app, &me, &format!("device={}", yours.device_id)).await;
    assert_eq!(by_device["data"], json!([]), "another user's device is no way in");
    app.get(&mine.token, "/v1/rollups").await.expect_problem(403, "wrong_principal");
}

#[tokio::test]
async fn filters_and_groups_agree_with_sums_made_by_hand() {
    let app = TestApp::start().await;
    let me = app.user("me", "Europe/Berlin").await;
    let (laptop, tower) = (app.device(&me, "laptop").await, app.device(&me, "tower").await);
    let hours: Vec<_> = half_hours("2026-11-01T00:00:00Z", "2026-11-04T00:00:00Z").collect();
    let buckets: Vec<_> = hours.iter().zip(1..).map(|(hour, number)| Usage::numbered(*hour, number)).collect();
    let (first, second) = buckets.split_at(60);
    app.post_usage(&laptop, first).await;
    app.post_usage(&tower, second).await;
    app.drain().await;
    let sums = |wanted: &dyn Fn(&Usage) -> bool, buckets: &[Usage]| {
        let wanted: Vec<_> = buckets.iter().filter(|bucket| wanted(bucket)).cloned().collect();
        let mut sums = Sums::default();
        let days = fold(&wanted, Tz::UTC);
        days.values().flat_map(|groups| groups.values()).for_each(|more| add(&mut sums, more));
        sums
    };
    let totals = async |query: &str| sums_of(&rollups(&app, &me, &format!("from=2026-11-01&{query}")).await["totals"]);

    assert_eq!(totals("").await, sums(&|_| true, &buckets));
    assert_eq!(totals("source=codex").await, sums(&|bucket| bucket.source == "codex", &buckets));
    let either = |bucket: &Usage| bucket.source != "other" && bucket.model == "opus";
    assert_eq!(totals("source=codex&source=claude-code&model=opus").await, sums(&either, &buckets));
    assert_eq!(totals(&format!("device={}", tower.device_id)).await, sums(&|_| true, second));
    assert_eq!(totals("model=never-used").await, Sums::default());

    let reply = rollups(&app, &me, "from=2026-11-01&to=2026-11-01&group_by=device&group_by=source").await;
    assert_eq!(reply["group_by"], json!(["source", "device"]));
    let results = reply["data"][0]["results"].as_array().unwrap();
    let keys: Vec<_> = results.iter().map(|result| (result["source"].clone(), result["device"].clone())).collect();
    let laptop = json!(laptop.device_id);
    assert_eq!(keys, ["claude-code", "codex", "other"].map(|source| (json!(source), laptop.clone())));
    assert!(results.iter().all(|result| result.get("model").is_none()), "only the groups asked for: {reply}");
    let mut together = Sums::default();
    for result in results {
        add(&mut together, &sums_of(result));
    }
    assert_eq!(together, sums_of(&reply["totals"]), "the groups of a day add up");
}

#[tokio::test]
async fn totals_hold_more_than_63_bits() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    app.tell(&format!(
        "insert into {DAILY}
         select '{}', '2026-11-01'::date + n, '{}', 'codex', 'gpt', 4611686018427387904, 0, 0, 0, 0, 0, 0, 1, 1
         from generate_series(0, 2) n",
        me.user_id,
        Uuid::nil()
    ))
    .await;
    let reply = rollups(&app, &me, "from=2026-11-01&to=2026-11-20").await;
    assert_eq!(reply["totals"]["total_tokens"].as_u64(), Some(3 * (1 << 62)));
    assert_eq!(reply["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_range_left_open_ends_today_where_the_user_lives() {
    let app = TestApp::start().await;
    let (east, west) = (app.user("east", "Pacific/Chatham").await, app.user("west", "America/Sao_Paulo").await);
    let range = async |user: &TestUser, query: &str| {
        let reply = rollups(&app, user, query).await;
        (reply["from"].as_str().unwrap().to_owned(), reply["to"].as_str().unwrap().to_owned())
    };
    let owned = |(from, to): (&str, &str)| (from.to_owned(), to.to_owned());
    assert_eq!(range(&east, "").await, owned(("2026-10-23", "2026-11-21")));
    assert_eq!(range(&west, "").await, owned(("2026-10-22", "2026-11-20")));
    assert_eq!(range(&west, "to=2026-03-01").await, owned(("2026-01-31", "2026-03-01")));
    assert_eq!(range(&west, "from=2026-11-20&width=day").await, owned(("2026-11-20", "2026-11-20")));
    let late = app.get(&west.viewer, "/v1/rollups?from=2026-11-21").await;
    assert_eq!(late.expect_problem(422, "invalid")["errors"][0]["code"], "range_is_reversed");
}

#[tokio::test]
async fn every_violation_of_a_query_is_listed() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    let codes = async |query: &str| refusals(&app, &me, &format!("/v1/rollups?{query}")).await;
    assert_eq!(codes("from=2026-11-20&to=2026-11-19").await, ["?from range_is_reversed"]);
    assert_eq!(codes("from=2024-01-01&to=2026-03-11").await, ["?from range_too_long"]);
    assert_eq!(
        codes("from=2026-11-31&to=yesterday&source=Emacs&group_by=hour&width=year&device=me&page=2").await,
        [
            "?page unknown_parameter",
            "?from not_a_date",
            "?to not_a_date",
            "?width unknown_width",
            "?group_by unknown_group",
            "?source malformed_source",
            "?device not_a_uuid"
        ]
    );
    assert_eq!(
        codes("from=2026-11-20&from=2026-11-01&to=2026-10-01").await,
        ["?from repeated_parameter", "?from range_is_reversed"]
    );
    assert_eq!(rollups(&app, &me, "from=2024-01-01&to=2026-03-10").await["data"], json!([]), "800 days are served");
}
