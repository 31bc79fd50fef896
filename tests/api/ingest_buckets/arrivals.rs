//! Buckets without `observed_at` mean "the truth as of its arrival": the order of arrival counts, and not the order of
//! commits.

use serde_json::{Value, json};

use super::held::{Hold, batches_waiting, rows_queued};
use super::{Tracker, bucket, verdicts};
use crate::support::line;

/// An unstamped version of the bucket in question.
fn unstamped(input_tokens: i64) -> Value {
    bucket(&json!({"input_tokens": input_tokens, "output_tokens": 100 - input_tokens}))
}

/// A bucket whose key is before or after that one's.
fn neighbour(hour_start: &str) -> Value {
    bucket(&json!({"hour_start": hour_start, "observed_at": "2026-11-20T11:00:00Z"}))
}

/// The same counts, seen a minute later: only the stamp is written, under the row's lock.
fn seen_again(neighbour: &Value) -> Value {
    let mut again = neighbour.clone();
    again["observed_at"] = "2026-11-20T11:01:00Z".into();
    again
}

#[tokio::test]
async fn an_older_post_that_commits_last_does_not_overwrite_a_newer_one() {
    for standing in [None, Some(unstamped(50))] {
        let tracker = Tracker::start().await;
        // Sorted by key, the neighbour is written first: the older post waits there and has not touched the bucket.
        let before = neighbour("2026-11-20T10:00:00Z");
        tracker.verdicts(std::slice::from_ref(&before)).await;
        tracker.verdicts(standing.as_slice()).await;
        let hold = Hold::of_buckets(&tracker.app, "hour_start = '2026-11-20T10:00:00Z'").await;
        let older = tracker.send(&[], &[unstamped(9), seen_again(&before)]);
        batches_waiting(&tracker.app, 1).await;
        let newer = tracker.verdicts(&[unstamped(3)]).await;
        assert_eq!(newer, [if standing.is_some() { "updated" } else { "inserted" }]);
        hold.release().await;
        assert_eq!(verdicts(&older.await.unwrap()), ["stale", "unchanged"]);
        assert_eq!(tracker.rows().await[1]["input_tokens"], 3, "the later arrival stands");
    }
}

#[tokio::test]
async fn a_post_that_is_tried_again_is_no_newer_for_that() {
    let tracker = Tracker::start().await;
    let before = neighbour("2026-11-20T10:00:00Z");
    tracker.verdicts(std::slice::from_ref(&before)).await;
    let hold = Hold::of_buckets(&tracker.app, "hour_start = '2026-11-20T10:00:00Z'").await;
    let older = tracker.send(&[], &[unstamped(9), seen_again(&before)]);
    batches_waiting(&tracker.app, 1).await;
    assert_eq!(tracker.verdicts(&[unstamped(3)]).await, ["inserted"]);
    tracker.app.cut_connections("ingest").await;
    hold.release().await;
    let older = older.await.unwrap();
    assert_eq!(verdicts(&older), ["stale", "unchanged"]);
    assert_eq!(line(older.header("x-request-id"))["retries"], 1);
    assert_eq!(tracker.rows().await[1]["input_tokens"], 3, "the later arrival stands");
}

#[tokio::test]
async fn a_newer_post_that_waits_for_an_older_one_wins_when_it_commits() {
    for standing in [None, Some(unstamped(50))] {
        let tracker = Tracker::start().await;
        // The neighbour is written last: the older post has locked the bucket and waits.
        let after = neighbour("2026-11-20T11:00:00Z");
        tracker.verdicts(std::slice::from_ref(&after)).await;
        tracker.verdicts(standing.as_slice()).await;
        let hold = Hold::of_buckets(&tracker.app, "hour_start = '2026-11-20T11:00:00Z'").await;
        let older = tracker.send(&[], &[unstamped(9), seen_again(&after)]);
        batches_waiting(&tracker.app, 1).await;
        let newer = tracker.send(&[], &[unstamped(3)]);
        batches_waiting(&tracker.app, 2).await;
        hold.release().await;
        let expected = if standing.is_some() { "updated" } else { "inserted" };
        assert_eq!(verdicts(&older.await.unwrap()), [expected, "unchanged"]);
        assert_eq!(verdicts(&newer.await.unwrap()), ["updated"]);
        assert_eq!(tracker.rows().await[0]["input_tokens"], 3, "the later arrival stands");
    }
}

#[tokio::test]
async fn of_posts_in_one_batch_the_last_to_arrive_wins() {
    let tracker = Tracker::start().await;
    let (hold, decoys) = tracker.hold_both_writers().await;
    let mut sent = Vec::new();
    for input_tokens in [9, 1, 5, 3] {
        sent.push(tracker.send(&[], &[unstamped(input_tokens)]));
        rows_queued(&tracker.app, 2 + sent.len()).await;
    }
    hold.release().await;
    let mut all = Vec::new();
    for sent in sent {
        all.extend(verdicts(&sent.await.unwrap()));
    }
    assert_eq!(all, ["superseded", "superseded", "superseded", "inserted"]);
    for decoy in decoys {
        assert_eq!(verdicts(&decoy.await.unwrap()), ["inserted"]);
    }
    let row = &super::rows(&tracker.app, "model not like 'decoy%'").await[0];
    assert_eq!(row["input_tokens"], 3);
}

#[tokio::test]
async fn one_post_after_the_other_ends_in_the_last() {
    let tracker = Tracker::start().await;
    for input_tokens in [5, 9, 0, 9, 4, 4, 2] {
        tracker.verdicts(&[unstamped(77), unstamped(input_tokens)]).await;
        assert_eq!(tracker.row().await["input_tokens"], input_tokens);
    }
}
