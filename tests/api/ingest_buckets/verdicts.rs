//! What becomes of buckets that are acceptable: which version stands, and what the receipt says.

use serde_json::json;

use super::{Tracker, bucket, rows, snapshot, verdicts};
use crate::support::instant;

#[tokio::test]
async fn a_bucket_sent_twice_is_stored_once() {
    let tracker = Tracker::start().await;
    let sent = [bucket(&json!({"input_tokens": 1200, "cache_read_tokens": 90_000, "output_tokens": 800}))];
    assert_eq!(tracker.verdicts(&sent).await, ["inserted"]);
    assert_eq!(tracker.verdicts(&sent).await, ["unchanged"]);
    let row = tracker.row().await;
    assert_eq!((&row["total_tokens"], &row["stamped"]), (&92_000.into(), &false.into()));
    assert_eq!(tracker.events().await, 1, "what did not change is not announced");
}

#[tokio::test]
async fn a_receipt_counts_its_verdicts_in_the_order_of_the_request() {
    let tracker = Tracker::start().await;
    let of = |model: &str, minute: u32, input: i64| {
        let mut bucket = snapshot(input, minute);
        bucket["model"] = model.into();
        bucket
    };
    tracker.verdicts(&[of("up", 40, 1), of("same", 40, 1), of("old", 40, 1)]).await;
    let reply = tracker.post(&[of("new", 40, 1), of("up", 41, 2), of("same", 40, 1), of("old", 39, 2)]).await;
    let receipt = reply.expect_ok();
    assert_eq!(
        *receipt,
        json!({
            "request_id": reply.header("x-request-id"), "received": 4, "inserted": 1, "updated": 1, "unchanged": 1,
            "stale": 1, "kept": 0, "superseded": 0, "corrected": 0, "erased": 0, "before_retention_horizon": 0,
            "rejected": 0,
            "verdicts": ["inserted", "updated", "unchanged", "stale"], "rejections": [],
        })
    );
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    assert_eq!(reply.header("preference-applied"), "");
    assert_eq!(crate::support::line(reply.header("x-request-id"))["function"], "ingest_buckets");
}

#[tokio::test]
async fn an_empty_list_is_fine() {
    let tracker = Tracker::start().await;
    assert_eq!(tracker.post(&[]).await.expect_ok()["received"], 0);
    assert!(tracker.rows().await.is_empty());
}

#[tokio::test]
async fn the_later_snapshot_stands_whether_counts_rise_or_fall() {
    let tracker = Tracker::start().await;
    assert_eq!(tracker.verdicts(&[snapshot(100, 40)]).await, ["inserted"]);
    assert_eq!(tracker.verdicts(&[snapshot(900, 39)]).await, ["stale"], "more, but older");
    assert_eq!(tracker.verdicts(&[snapshot(0, 41)]).await, ["updated"], "a fall to nothing");
    assert_eq!(tracker.verdicts(&[snapshot(100, 40)]).await, ["stale"], "a late retry");
    assert_eq!(tracker.row().await["input_tokens"], 0);
    assert_eq!(tracker.events().await, 2);
}

#[tokio::test]
async fn at_equal_stamps_the_greater_counts_stand_in_either_order() {
    for (first, second, verdict) in [(1, 2, "updated"), (2, 1, "stale")] {
        let tracker = Tracker::start().await;
        tracker.verdicts(&[snapshot(first, 40)]).await;
        assert_eq!(tracker.verdicts(&[snapshot(second, 40)]).await, [verdict]);
        assert_eq!(tracker.row().await["input_tokens"], 2);
    }
}

#[tokio::test]
async fn a_newer_stamp_with_the_same_counts_is_stored_and_announces_nothing() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[snapshot(100, 40)]).await;
    let before = tracker.row().await;
    tracker.app.clock.set(instant("2026-11-20T12:01:00Z"));
    assert_eq!(tracker.verdicts(&[snapshot(100, 42)]).await, ["unchanged"]);
    let after = tracker.row().await;
    assert_eq!(after["observed_at"], "2026-11-20T10:42:00+00:00");
    assert_eq!((&after["changed_at"], tracker.events().await), (&before["changed_at"], 1));
    assert_eq!(tracker.verdicts(&[snapshot(90, 41)]).await, ["stale"], "which is why the stamp has to be stored");
}

#[tokio::test]
async fn a_snapshot_without_a_stamp_is_the_truth_as_of_its_arrival() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[bucket(&json!({"input_tokens": 5}))]).await;
    assert_eq!(tracker.verdicts(&[snapshot(9, 59)]).await, ["stale"], "taken before the other arrived");
    assert_eq!(tracker.verdicts(&[bucket(&json!({"input_tokens": 3}))]).await, ["updated"], "arrived later");
    let row = tracker.row().await;
    assert_eq!((&row["input_tokens"], &row["stamped"]), (&3.into(), &false.into()));
}

#[tokio::test]
async fn of_several_versions_in_one_request_the_latest_stands_and_the_others_are_superseded() {
    let tracker = Tracker::start().await;
    let unstamped = |input: i64| bucket(&json!({"input_tokens": input}));
    let sent = [snapshot(1, 40), unstamped(2), snapshot(3, 59), unstamped(4)];
    assert_eq!(tracker.verdicts(&sent).await, ["superseded", "superseded", "superseded", "inserted"]);
    assert_eq!(tracker.row().await["input_tokens"], 4);
    let same = [snapshot(1, 59), snapshot(1, 59)];
    assert_eq!(tracker.verdicts(&same).await, ["stale", "stale"], "twins lose to the same version");
}

const CORRECT: &str = "update usage.bucket set input_tokens = 50, backfill_id = '00000000-0000-7000-8000-000000000001'";

#[tokio::test]
async fn an_arrival_time_does_not_outweigh_a_correction_and_a_newer_stamp_does() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[snapshot(100, 40)]).await;
    tracker.execute(CORRECT.to_owned()).await;
    let unstamped = |input: i64| bucket(&json!({"input_tokens": input}));
    assert_eq!(tracker.verdicts(&[unstamped(100)]).await, ["corrected"]);
    assert_eq!(tracker.verdicts(&[unstamped(50)]).await, ["unchanged"], "it agrees with the correction");
    assert_eq!(tracker.verdicts(&[snapshot(100, 39)]).await, ["stale"]);
    assert_eq!(tracker.row().await["input_tokens"], 50);
    assert_eq!(tracker.verdicts(&[snapshot(101, 41)]).await, ["updated"]);
    let row = tracker.row().await;
    assert!(row["backfill_id"].is_null() && row["input_tokens"] == 101, "{row:?}");
}

#[tokio::test]
async fn what_is_new_is_told_apart_from_what_a_correction_hides_in_the_same_batch() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[snapshot(100, 40)]).await;
    tracker.execute(CORRECT.to_owned()).await;
    let of = |model: &str| bucket(&json!({"model": model}));
    let hidden = bucket(&json!({"input_tokens": 1}));
    let mixed = [of("a"), hidden.clone(), of("z")];
    assert_eq!(tracker.verdicts(&mixed).await, ["inserted", "corrected", "inserted"]);
    assert_eq!(tracker.verdicts(&mixed).await, ["unchanged", "corrected", "unchanged"]);
    assert_eq!(tracker.verdicts(&[of("b"), of("a"), of("c")]).await, ["inserted", "unchanged", "inserted"]);
}

#[tokio::test]
async fn a_stamped_runner_up_of_the_same_request_may_still_outweigh_a_correction() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[snapshot(100, 40)]).await;
    tracker.execute(CORRECT.to_owned()).await;
    let unstamped = bucket(&json!({"input_tokens": 1}));
    let sent = [snapshot(2, 41), unstamped.clone(), snapshot(3, 42), unstamped];
    assert_eq!(tracker.verdicts(&sent).await, ["superseded", "corrected", "updated", "corrected"]);
    let row = tracker.row().await;
    assert!(row["backfill_id"].is_null() && row["input_tokens"] == 3, "{row:?}");
}

#[tokio::test]
async fn a_stamped_runner_up_is_tried_too_where_the_unstamped_winner_agrees_with_the_correction() {
    let tracker = Tracker::start().await;
    tracker.verdicts(&[snapshot(100, 40)]).await;
    tracker.execute(CORRECT.to_owned()).await;
    let agreeing = bucket(&json!({"input_tokens": 50}));
    assert_eq!(tracker.verdicts(&[snapshot(2, 39), agreeing.clone()]).await, ["stale", "unchanged"]);
    assert_eq!(tracker.row().await["input_tokens"], 50, "an older stamp does not outweigh the correction");
    assert_eq!(tracker.verdicts(&[snapshot(3, 42), agreeing]).await, ["updated", "unchanged"]);
    let row = tracker.row().await;
    assert!(row["backfill_id"].is_null() && row["input_tokens"] == 3, "{row:?}");
}

#[tokio::test]
async fn what_its_owner_erased_does_not_come_back_and_newer_usage_does() {
    let tracker = Tracker::start().await;
    let (user_id, device_id) = (tracker.me.user_id, tracker.device.device_id);
    tracker
        .execute(format!(
            "insert into usage.erasure (user_id, erasure_id, erased_at, device_id, source, first_hour, last_hour) values
             ('{user_id}', gen_random_uuid(), '2026-11-20T10:45:00Z', '{device_id}', 'claude-code',
              '2026-11-20T10:30:00Z', '2026-11-20T10:30:00Z'),
             ('{user_id}', gen_random_uuid(), '2030-01-01T00:00:00Z', gen_random_uuid(), null, '-infinity', 'infinity'),
             (gen_random_uuid(), gen_random_uuid(), '2030-01-01T00:00:00Z', null, null, '-infinity', 'infinity')"
        ))
        .await;
    assert_eq!(tracker.verdicts(&[snapshot(1, 44)]).await, ["erased"]);
    assert_eq!(tracker.verdicts(&[snapshot(1, 45)]).await, ["erased"], "at that very instant");
    assert!(tracker.rows().await.is_empty() && tracker.events().await == 0);
    let elsewhere = |field: &str, value: &str| {
        let mut bucket = snapshot(1, 44);
        bucket[field] = value.into();
        bucket
    };
    let outside = [elsewhere("source", "codex"), elsewhere("hour_start", "2026-11-20T10:00:00Z"), snapshot(1, 46)];
    assert_eq!(tracker.verdicts(&outside).await, ["inserted", "inserted", "inserted"], "outside the scope, and later");
}

#[tokio::test]
async fn every_device_writes_its_own_buckets_and_no_field_names_another() {
    let tracker = Tracker::start().await;
    let other = tracker.app.user("other", "UTC").await;
    let others = tracker.app.device(&other, "laptop").await;
    let second = tracker.app.device(&tracker.me, "desktop").await;
    for (device, input) in [(&tracker.device, 1), (&others, 2), (&second, 3)] {
        let reply = tracker.app.post_buckets(&device.token, &json!({"buckets": [snapshot(input, 40)]})).await;
        assert_eq!(verdicts(&reply), ["inserted"]);
        let mine = rows(&tracker.app, &format!("device_id = '{}'", device.device_id)).await;
        assert_eq!((mine.len(), &mine[0]["input_tokens"]), (1, &input.into()));
    }
    for field in ["user_id", "device_id"] {
        let mut forged = snapshot(9, 41);
        forged[field] = json!(if field == "user_id" { other.user_id } else { others.device_id });
        let reply = tracker.post(&[forged]).await;
        let errors = &reply.expect_problem(422, "invalid")["errors"];
        assert_eq!((&errors[0]["code"], errors.as_array().unwrap().len()), (&"unknown_field".into(), 1));
        let beside = json!({"buckets": [snapshot(9, 41)], field: other.user_id});
        tracker.app.post_buckets(&tracker.device.token, &beside).await.expect_problem(422, "invalid");
    }
    assert!(rows(&tracker.app, "input_tokens = 9").await.is_empty());
}

#[tokio::test]
async fn every_field_is_stored_as_it_was_posted() {
    let tracker = Tracker::start().await;
    let most = 1_000_000_000_000_i64;
    let sent = bucket(&json!({
        "hour_start": "2026-11-20T12:30:00+02:00", "source": "kilo-code", "model": "a/b:c@d+e-f_g.h",
        "observed_at": "2026-11-20T10:59:59.123456789Z", "input_tokens": 1, "cache_read_tokens": 2,
        "cache_write_5m_tokens": 3, "cache_write_1h_tokens": 4, "output_tokens": most, "reasoning_tokens": most,
        "unclassified_tokens": 5, "request_count": 6,
    }));
    assert_eq!(tracker.verdicts(&[sent]).await, ["inserted"]);
    let mut row = tracker.row().await;
    row.remove("changed_at");
    assert_eq!(
        serde_json::Value::Object(row),
        json!({
            "user_id": tracker.me.user_id, "device_id": tracker.device.device_id,
            "hour_start": "2026-11-20T10:30:00+00:00", "source": "kilo-code", "model": "a/b:c@d+e-f_g.h",
            "observed_at": "2026-11-20T10:59:59.123456+00:00", "stamped": true, "rank": 1, "backfill_id": null,
            "input_tokens": 1, "cache_read_tokens": 2, "cache_write_5m_tokens": 3, "cache_write_1h_tokens": 4,
            "output_tokens": most, "reasoning_tokens": most, "unclassified_tokens": 5, "request_count": 6,
            "total_tokens": most + 15,
        })
    );
}
