//! Real usage, loaded again and again: 28,185 requests of two public services, as 240 buckets of 40 devices, add up to
//! what the trace itself says, however often and in whatever order they are posted.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::azure_llm_2023::{self as data, Posted};
use crate::support::{TestApp, TestUser};

/// How many clients post at once.
const CLIENTS: usize = 8;

/// A server that accepts any age, and the user whose devices these are. In Kathmandu the trace spans midnight.
async fn start() -> (TestApp, TestUser, BTreeMap<String, String>) {
    let app = TestApp::start_with(|settings| settings.ingest_max_age_days = None).await;
    let user = app.user("azure", "Asia/Kathmandu").await;
    let mut tokens = BTreeMap::new();
    for name in data::devices() {
        let device = app.device(&user, &name).await;
        tokens.insert(name, device.token);
    }
    (app, user, tokens)
}

/// Posts each bucket on its own, [`CLIENTS`] at a time, and counts the verdicts.
async fn post_one_by_one(
    app: &TestApp,
    tokens: &BTreeMap<String, String>,
    buckets: Vec<Posted>,
) -> BTreeMap<String, usize> {
    let replies = stream::iter(buckets).map(async |Posted { device, bucket }| {
        let reply = app.post_buckets(&tokens[&device], &json!({"buckets": [bucket]})).await;
        reply.expect_ok()["verdicts"][0].as_str().unwrap().to_owned()
    });
    let verdicts: Vec<String> = replies.buffer_unordered(CLIENTS).collect().await;
    let mut counts = BTreeMap::new();
    for verdict in verdicts {
        *counts.entry(verdict).or_default() += 1;
    }
    counts
}

/// A checksum of the whole answer to a query, as text.
async fn checksum(app: &TestApp, columns: &str, table: &str) -> String {
    let sql = format!(
        "select count(*) || ' rows, ' || coalesce(md5(string_agg(row::text, e'\\n' order by row::text)), 'none')
         from (select {columns} from {table} as t) as row"
    );
    app.admin.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap().get(0)
}

/// The rows that a repeated load must not touch, with where they lie in the file and who wrote them: not even a row
/// that is replaced by its equal passes for untouched.
async fn rollup_rows(app: &TestApp) -> [String; 2] {
    [
        checksum(app, "t.*, t.ctid, t.xmin", "rollup.daily").await,
        checksum(app, "t.*, t.ctid, t.xmin", "rollup.user_state").await,
    ]
}

#[tokio::test]
async fn real_usage_adds_up_exactly_and_loading_it_again_changes_nothing() {
    let (app, user, tokens) = start().await;
    for (device, body) in data::bodies() {
        let reply = app.post_buckets(&tokens[&device], &body).await;
        assert_eq!(reply.expect_ok()["inserted"], body["buckets"].as_array().unwrap().len(), "{device}");
    }
    app.drain().await;
    let first = app.get(&user.viewer, data::QUESTION).await;
    data::assert_exact(first.expect_ok());
    assert_eq!((&first.json["pending"], first.json["data"].as_array().unwrap().len()), (&json!(false), 2));

    // All that is known of a bucket but its stamp, which follows the arrivals.
    let facts = "t.user_id, t.hour_start, t.device_id, t.source, t.model, t.input_tokens, t.cache_read_tokens,
                 t.cache_write_5m_tokens, t.cache_write_1h_tokens, t.output_tokens, t.reasoning_tokens,
                 t.unclassified_tokens, t.request_count, t.total_tokens, t.changed_at, t.backfill_id, t.stamped";
    let buckets = checksum(&app, facts, "usage.bucket").await;
    assert!(buckets.starts_with("240 rows"), "{buckets}");
    let rollups = rollup_rows(&app).await;
    for seed in [1, 2] {
        let verdicts = post_one_by_one(&app, &tokens, data::shuffled(data::buckets(), seed)).await;
        assert_eq!(verdicts, BTreeMap::from([("unchanged".to_owned(), 240)]));
        let events = checksum(&app, "t.*", "usage.outbox").await;
        assert!(events.starts_with("0 rows"), "an equal bucket was announced: {events}");
        app.drain().await;
        assert_eq!(checksum(&app, facts, "usage.bucket").await, buckets);
        assert_eq!(rollup_rows(&app).await, rollups);
        let again = app.get(&user.viewer, data::QUESTION).await;
        assert_eq!((&again.json["version"], &again.json["totals"]), (&first.json["version"], &first.json["totals"]));
    }
}

#[tokio::test]
async fn stamped_real_usage_ends_in_the_same_rows_however_it_arrives() {
    let (app, user, tokens) = start().await;
    // Each bucket four times, all mixed: equal copies meet in one commit, and across commits.
    let stamped = |Posted { device, mut bucket }: Posted| {
        bucket["observed_at"] = json!("2023-11-16T19:31:07.250001Z");
        Posted { device, bucket }
    };
    let copies: Vec<_> = (0..4).flat_map(|_| data::buckets().into_iter().map(stamped)).collect();
    let verdicts = post_one_by_one(&app, &tokens, data::shuffled(copies.clone(), 3)).await;
    assert_eq!(verdicts["inserted"], 240, "{verdicts:?}");
    let losers: usize = ["unchanged", "superseded"].iter().filter_map(|verdict| verdicts.get(*verdict)).sum();
    assert_eq!(losers, 720, "{verdicts:?}");
    app.drain().await;
    let first = app.get(&user.viewer, data::QUESTION).await;
    data::assert_exact(first.expect_ok());

    // The same stamp and counts: not even the row is written again.
    let buckets = checksum(&app, "t.*, t.ctid, t.xmin", "usage.bucket").await;
    assert!(buckets.starts_with("240 rows"), "{buckets}");
    let rollups = rollup_rows(&app).await;
    let verdicts = post_one_by_one(&app, &tokens, data::shuffled(copies, 4)).await;
    let losers: usize = ["unchanged", "superseded"].iter().filter_map(|verdict| verdicts.get(*verdict)).sum();
    assert_eq!((losers, verdicts.values().sum::<usize>()), (960, 960), "{verdicts:?}");
    app.drain().await;
    assert_eq!(checksum(&app, "t.*, t.ctid, t.xmin", "usage.bucket").await, buckets);
    assert_eq!(rollup_rows(&app).await, rollups);
    data::assert_exact(app.get(&user.viewer, data::QUESTION).await.expect_ok());
}

#[tokio::test]
async fn stamped_real_usage_that_was_wrong_at_first_converges_whatever_comes_last() {
    let (app, user, tokens) = start().await;
    // Three versions of every bucket: too little, too much, and in the end the truth.
    let versions = data::buckets().into_iter().flat_map(|Posted { device, bucket }| {
        let tokens = bucket["input_tokens"].as_u64().unwrap();
        [("19:30:01", tokens / 2), ("19:30:02", tokens * 3), ("19:30:03", tokens)].map(|(time, input_tokens)| {
            let mut bucket: Value = bucket.clone();
            bucket["observed_at"] = json!(format!("2023-11-16T{time}Z"));
            bucket["input_tokens"] = json!(input_tokens);
            Posted { device: device.clone(), bucket }
        })
    });
    let verdicts = post_one_by_one(&app, &tokens, data::shuffled(versions.collect(), 5)).await;
    assert!(verdicts.contains_key("stale") && verdicts.contains_key("updated"), "{verdicts:?}");
    app.drain().await;
    data::assert_exact(app.get(&user.viewer, data::QUESTION).await.expect_ok());
}

/// What a second computation makes of the trace: the requests and tokens of each local day and model.
fn days_in(zone: Tz) -> BTreeMap<String, [u64; 3]> {
    let mut days = BTreeMap::<String, [u64; 3]>::new();
    for Posted { bucket, .. } in data::buckets() {
        let hour: DateTime<Utc> = bucket["hour_start"].as_str().unwrap().parse().unwrap();
        let (day, model) = (hour.with_timezone(&zone).date_naive(), bucket["model"].as_str().unwrap());
        let sums = days.entry(format!("{day} {model}")).or_default();
        let counters = ["input_tokens", "output_tokens", "request_count"];
        for (sum, count) in sums.iter_mut().zip(counters.map(|counter| bucket[counter].as_u64().unwrap_or(0))) {
            *sum += count;
        }
    }
    days
}

#[tokio::test]
async fn real_usage_has_the_same_totals_in_six_zones_and_the_days_that_each_zone_says() {
    let (app, user, tokens) = start().await;
    for (device, body) in data::bodies() {
        app.post_buckets(&tokens[&device], &body).await.expect_ok();
    }
    let mut different = BTreeSet::new();
    // Midnight before, within and after the trace, at :00, :15, :30 and :45, and a zone that once had summer time.
    for zone in [
        Tz::Asia__Kathmandu,
        Tz::Asia__Kolkata,
        Tz::Asia__Karachi,
        Tz::Pacific__Chatham,
        Tz::America__Sao_Paulo,
        Tz::Australia__Lord_Howe,
    ] {
        app.want_zone(&user, zone.name()).await;
        app.drain().await;
        let reply = app.get(&user.viewer, data::QUESTION).await;
        let reply = reply.expect_ok();
        assert_eq!(reply["time_zone"], zone.name());
        data::assert_exact(reply);
        let mut found = BTreeMap::new();
        for interval in reply["data"].as_array().unwrap() {
            for result in interval["results"].as_array().unwrap() {
                let key = format!("{} {}", interval["label"].as_str().unwrap(), result["model"].as_str().unwrap());
                let counters = ["input_tokens", "output_tokens", "request_count"];
                found.insert(key, counters.map(|counter| result[counter].as_u64().unwrap()));
            }
        }
        assert_eq!(found, days_in(zone), "{zone}");
        different.insert(found.into_iter().collect::<Vec<_>>());
    }
    assert!(different.len() >= 4, "the zones hardly differ: {different:?}");
}
