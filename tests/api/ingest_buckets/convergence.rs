//! The law: any order, repetition, batching and interleaving of stamped snapshots ends in the same buckets and rollups.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::{Tracker, bucket, rows, verdicts};
use crate::support::{TestApp, TestDevice};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.roll(last + 1));
        }
    }
}

/// Few buckets, few stamps and few counts, so that versions meet in every way.
fn snapshots(dice: &mut Dice) -> Vec<Value> {
    let snapshot = |_| {
        let (half, model, second) = (["00", "30"][dice.roll(2)], ["a", "b"][dice.roll(2)], dice.roll(4));
        bucket(&json!({
            "hour_start": format!("2026-11-20T10:{half}:00Z"), "model": model,
            "observed_at": format!("2026-11-20T11:00:0{second}Z"),
            "input_tokens": dice.roll(3), "output_tokens": dice.roll(3), "request_count": dice.roll(2),
        }))
    };
    (0..14).map(snapshot).collect()
}

type Key = (String, String);
type Version = (String, i64, i64, i64);

/// The key and the version of a snapshot or a row; later versions are greater.
fn version(bucket: &Map<String, Value>) -> (Key, Version) {
    let text = |name: &str| bucket[name].as_str().unwrap().replace("+00:00", "Z");
    let count = |name: &str| bucket[name].as_i64().unwrap();
    let version = (text("observed_at"), count("input_tokens"), count("output_tokens"), count("request_count"));
    ((text("hour_start"), text("model")), version)
}

/// What must stand in the end.
fn greatest(snapshots: &[Value]) -> BTreeMap<Key, Version> {
    let mut standing = BTreeMap::new();
    for snapshot in snapshots {
        let (key, version) = version(snapshot.as_object().unwrap());
        let best = standing.entry(key).or_insert_with(|| version.clone());
        *best = version.max(best.clone());
    }
    standing
}

/// Some snapshots twice, in any order, cut into requests of any size.
fn requests(snapshots: &[Value], dice: &mut Dice) -> Vec<Vec<Value>> {
    let mut sent = snapshots.to_vec();
    sent.extend(snapshots.iter().filter(|_| dice.roll(3) == 0).cloned());
    dice.shuffle(&mut sent);
    let mut requests = vec![Vec::new()];
    for snapshot in sent {
        if dice.roll(3) == 0 {
            requests.push(Vec::new());
        }
        requests.last_mut().unwrap().push(snapshot);
    }
    requests
}

async fn standing(app: &TestApp, device: &TestDevice) -> BTreeMap<Key, Version> {
    rows(app, &format!("device_id = '{}'", device.device_id)).await.iter().map(version).collect()
}

#[tokio::test]
async fn any_order_repetition_batching_and_interleaving_ends_in_the_same_buckets_and_rollups() {
    let tracker = Tracker::start().await;
    let second_server = tracker.app.second_server().await;
    for case in 0..30 {
        let mut dice = Dice(case);
        let snapshots = snapshots(&mut dice);
        let expected = greatest(&snapshots);
        for way in ["one by one", "at once"] {
            let device = tracker.app.device(&tracker.me, &format!("case {case} {way}")).await;
            let servers = [&tracker.app, &second_server];
            let posts = requests(&snapshots, &mut dice).into_iter().enumerate().map(|(position, buckets)| {
                let (server, token) = (servers[position % 2], &device.token);
                async move { server.post_buckets(token, &json!({"buckets": buckets})).await.expect_ok().clone() }
            });
            if way == "at once" {
                join_all(posts).await;
            } else {
                for post in posts {
                    post.await;
                }
            }
            assert_eq!(standing(&tracker.app, &device).await, expected, "case {case}, {way}");
        }
    }
    assert_rollups_are_sums_of_buckets(&tracker).await;
}

async fn assert_rollups_are_sums_of_buckets(tracker: &Tracker) {
    tracker.app.drain().await;
    let sums = async |table: &str, count: &str| -> Vec<String> {
        let sql = format!(
            "select concat_ws(' ', device_id, model, sum(total_tokens), sum(request_count), {count})
             from {table} group by device_id, model order by 1"
        );
        let rows = tracker.app.admin.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        rows.into_iter().map(|row| row.get(0)).collect()
    };
    let folded = sums("rollup.daily", "sum(bucket_count)").await;
    assert!(folded.len() >= 60, "{}", folded.len());
    assert_eq!(folded, sums("usage.bucket", "count(*)").await);
    assert_eq!(tracker.events().await, 0);
}

#[tokio::test]
async fn the_same_bucket_posted_by_sixteen_at_once_is_inserted_by_one() {
    let tracker = Tracker::start().await;
    for stamp in [None, Some("2026-11-20T10:40:00Z")] {
        let device = tracker.app.device(&tracker.me, &format!("{stamp:?}")).await;
        let mut bucket = bucket(&json!({"input_tokens": 7}));
        if let Some(stamp) = stamp {
            bucket["observed_at"] = stamp.into();
        }
        let body = json!({"buckets": [bucket]});
        let replies = join_all((0..16).map(|_| tracker.app.post_buckets(&device.token, &body))).await;
        let mut all: Vec<_> = replies.iter().flat_map(verdicts).collect();
        all.sort_unstable();
        let (first, others) = all.split_first().unwrap();
        assert_eq!((first.as_str(), others.len()), ("inserted", 15));
        assert!(others.iter().all(|verdict| verdict == "unchanged"), "{others:?}");
        assert_eq!(standing(&tracker.app, &device).await.len(), 1);
    }
}

#[tokio::test]
async fn sixteen_versions_of_a_bucket_at_once_leave_the_latest() {
    let tracker = Tracker::start().await;
    let snapshot = |second: i64| {
        bucket(&json!({"input_tokens": 100 - second, "observed_at": format!("2026-11-20T10:40:{second:02}Z")}))
    };
    let snapshots: Vec<_> = (0..16).map(|second| [snapshot(second)]).collect();
    let posts = snapshots.iter().map(|snapshot| tracker.verdicts(snapshot));
    let all: Vec<_> = join_all(posts).await.into_iter().flatten().collect();
    assert_eq!(all.iter().filter(|verdict| *verdict == "inserted").count(), 1, "{all:?}");
    assert!(
        all.iter().all(|verdict| ["inserted", "updated", "stale", "superseded"].contains(&verdict.as_str())),
        "{all:?}"
    );
    let row = tracker.row().await;
    assert_eq!((&row["input_tokens"], &row["observed_at"]), (&85.into(), &"2026-11-20T10:40:15+00:00".into()));
}
