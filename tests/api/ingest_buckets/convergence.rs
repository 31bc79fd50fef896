//! The same bucket from many connections at once.

use futures_util::future::join_all;
use serde_json::json;

use super::{Tracker, bucket, rows, verdicts};

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
        let stored = rows(&tracker.app, &format!("device_id = '{}'", device.device_id)).await;
        assert_eq!(stored.len(), 1);
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
