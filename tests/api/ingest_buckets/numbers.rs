//! Answers under keys are numbered for each device, so that the newest says which of the oldest are beyond a thousand.

use futures_util::future::join_all;
use serde_json::json;

use super::held::{rows_queued, send};
use super::{Tracker, bucket, verdicts};
use crate::support::TestDevice;

/// Records of a device: so many each second, the last one now, under these numbers.
async fn fill(tracker: &Tracker, device: &TestDevice, numbers: std::ops::RangeInclusive<i64>, each: i64) {
    let (user_id, device_id) = (tracker.me.user_id, device.device_id);
    let (first, last) = numbers.into_inner();
    tracker
        .execute(format!(
            "insert into usage.idempotency
                 (user_id, scope_hash, device_id, number, fingerprint, request_id, verdicts, created_at)
             select '{user_id}', sha256(convert_to(gen_random_uuid()::text, 'UTF8')), '{device_id}', number, sha256(''),
                    gen_random_uuid(), '', now() - ({last} - number) * interval '1 second'
             from generate_series({first}, {last}) as number, generate_series(1, {each})"
        ))
        .await;
}

/// How many records a device has, and their smallest and greatest number.
async fn kept(tracker: &Tracker, device: &TestDevice) -> String {
    let (id, range) = (device.device_id, "coalesce(min(number) || '-' || max(number), 'none')");
    let sql = format!("select count(*) || ': ' || {range} from usage.idempotency where device_id = '{id}'");
    tracker.app.ask(&sql).await.remove(0)
}

async fn post(tracker: &Tracker, key: &str) {
    let headers = [("idempotency-key", key)];
    let reply = send(&tracker.app, &tracker.device.token, &headers, &[bucket(&json!({"model": key}))]).await.unwrap();
    assert_eq!(verdicts(&reply), ["inserted"]);
}

#[tokio::test]
async fn the_oldest_goes_by_its_number_and_only_beyond_a_thousand() {
    let tracker = Tracker::start().await;
    let phone = tracker.app.device(&tracker.me, "phone").await;
    post(&tracker, "first").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1: 1-1");
    tracker.execute("delete from usage.idempotency".to_owned()).await;
    fill(&tracker, &tracker.device, 1..=999, 1).await;
    fill(&tracker, &phone, 1..=1001, 1).await;
    post(&tracker, "thousandth").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 1-1000");
    post(&tracker, "next").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 2-1001");
    assert_eq!(kept(&tracker, &phone).await, "1001: 1-1001", "each device has its own");
}

#[tokio::test]
async fn numbers_that_were_taken_twice_are_told_apart_by_time_at_each_250th() {
    let tracker = Tracker::start().await;
    fill(&tracker, &tracker.device, 1..=1248, 2).await;
    post(&tracker, "1249").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "2496: 1-1249");
    post(&tracker, "1250").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 750-1250");
}

#[tokio::test]
async fn answers_of_the_release_before_have_no_numbers_and_go_by_their_time() {
    let tracker = Tracker::start().await;
    fill(&tracker, &tracker.device, 1..=600, 1).await;
    tracker.execute("update usage.idempotency set number = null".to_owned()).await;
    fill(&tracker, &tracker.device, 1..=600, 1).await;
    post(&tracker, "next").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 101-601", "pairs of the same second, and the newest");
    let without = "select count(*)::text from usage.idempotency where number is null";
    assert_eq!(tracker.app.ask(without).await, ["499"]);
}

#[tokio::test]
async fn answers_without_numbers_are_found_after_each_25th_and_are_gone_with_the_thousandth() {
    let tracker = Tracker::start().await;
    fill(&tracker, &tracker.device, 1..=700, 1).await;
    let older = "update usage.idempotency set number = null, created_at = created_at - interval '1 hour'";
    tracker.execute(older.to_owned()).await;
    fill(&tracker, &tracker.device, 1..=624, 1).await;
    post(&tracker, "625").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1325: 1-625");
    post(&tracker, "626").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 1-626");
    fill(&tracker, &tracker.device, 627..=999, 1).await;
    post(&tracker, "1000").await;
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 1-1000");
}

#[tokio::test]
async fn what_two_processes_record_at_once_is_kept_and_repeated_though_they_take_the_same_numbers() {
    let tracker = Tracker::start().await;
    let other = tracker.app.second_server().await;
    let (keys, token) = ((0..40).map(|key| format!("key-{key}")).collect::<Vec<_>>(), &tracker.device.token);
    let all = async || {
        let sent = keys.iter().enumerate().map(|(place, key)| {
            let app = if place % 2 == 0 { &tracker.app } else { &other };
            send(app, token, &[("idempotency-key", key)], &[bucket(&json!({"model": key}))])
        });
        join_all(sent.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let first = all().await;
    for reply in &first {
        assert_eq!(verdicts(reply), ["inserted"]);
    }
    assert!(kept(&tracker, &tracker.device).await.starts_with("40: 1-"));
    for (again, first) in all().await.iter().zip(&first) {
        assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));
    }
}

#[tokio::test]
async fn one_batch_numbers_its_answers_of_a_device_in_a_row_and_forgets_as_many() {
    let tracker = Tracker::start().await;
    fill(&tracker, &tracker.device, 1..=1000, 1).await;
    let (hold, decoys) = tracker.hold_both_writers().await;
    let keys = ["a", "b", "c", "d", "e"];
    let sent: Vec<_> =
        keys.map(|key| tracker.send(&[("idempotency-key", key)], &[bucket(&json!({"model": key}))])).into();
    rows_queued(&tracker.app, 7).await;
    hold.release().await;
    for reply in join_all(decoys.into_iter().chain(sent)).await {
        assert_eq!(verdicts(&reply.unwrap()), ["inserted"]);
    }
    assert_eq!(kept(&tracker, &tracker.device).await, "1000: 6-1005");
}
