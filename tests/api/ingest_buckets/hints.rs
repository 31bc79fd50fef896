//! The hint of a receipt: a new device repeats what another device of its user has sent.

use halfhour::kernel::clock::Clock;
use halfhour::kernel::database::{Access, Mode};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Tracker, bucket};
use crate::support::{TestDevice, context};

fn buckets(models: std::ops::Range<u32>) -> Vec<Value> {
    models.map(|model| bucket(&json!({"model": format!("m{model}"), "input_tokens": model + 1}))).collect()
}

async fn hint(tracker: &Tracker, device: &TestDevice, buckets: &[Value]) -> Value {
    let reply = tracker.app.post_buckets(&device.token, &json!({ "buckets": buckets })).await;
    reply.expect_ok()["hint"].clone()
}

#[tokio::test]
async fn a_new_device_that_repeats_another_is_told_so_once_a_day() {
    let tracker = Tracker::start().await;
    assert_eq!(hint(&tracker, &tracker.device, &buckets(0..10)).await, Value::Null, "there is no other device");
    let again = tracker.app.device(&tracker.me, "laptop again").await;
    let found = hint(&tracker, &again, &buckets(5..13)).await;
    assert_eq!((&found["code"], &found["equal_buckets"]), (&json!("device_repeats_another"), &json!(5)));
    assert_eq!(found["device_id"], json!(tracker.device.device_id));
    assert_eq!(hint(&tracker, &again, &buckets(0..5)).await, Value::Null, "once");
    let tomorrow = tracker.app.clock.now() + chrono::TimeDelta::days(1);
    tracker.app.clock.set(tomorrow);
    let third = buckets(0..10).into_iter().map(|mut bucket| {
        bucket["hour_start"] = json!("2026-11-19T10:30:00Z");
        bucket
    });
    let third: Vec<Value> = third.collect();
    assert_eq!(hint(&tracker, &tracker.device, &third).await, Value::Null);
    assert_eq!(hint(&tracker, &again, &third).await["equal_buckets"], 10, "and a day later again");
}

#[tokio::test]
async fn what_is_no_repetition_gets_no_hint() {
    let tracker = Tracker::start().await;
    hint(&tracker, &tracker.device, &buckets(0..10)).await;
    let bob = tracker.app.user("bob", "UTC").await;
    let bobs = tracker.app.device(&bob, "laptop").await;
    assert_eq!(hint(&tracker, &bobs, &buckets(0..10)).await, Value::Null, "another user's");
    let less = tracker.app.device(&tracker.me, "less than half").await;
    assert_eq!(hint(&tracker, &less, &buckets(6..20)).await, Value::Null);
    let idle = tracker.app.device(&tracker.me, "idle").await;
    let nothing = [bucket(&json!({"model": "idle", "input_tokens": 0, "output_tokens": 0}))];
    for device in [&less, &idle] {
        let nothing: Vec<Value> = nothing
            .iter()
            .map(|it| json!({"hour_start": it["hour_start"], "source": it["source"], "model": "idle"}))
            .collect();
        assert_eq!(hint(&tracker, device, &nothing).await, Value::Null, "two that have used nothing");
    }
    // A repetition under a key has the answer of the first execution, and no hint.
    let again = tracker.app.device(&tracker.me, "laptop again").await;
    let body = json!({"buckets": buckets(0..10)});
    let mut hints = Vec::new();
    for _ in 0..2 {
        let request = tracker.app.request(Method::POST, "/v1/buckets").bearer(&again.token);
        let reply = request.header("idempotency-key", "k").json(&body).send().await;
        hints.push(reply.expect_ok()["hint"]["equal_buckets"].clone());
    }
    assert_eq!(hints, [json!(10), Value::Null]);
}

#[tokio::test]
async fn an_old_device_is_not_looked_at() {
    let tracker = Tracker::start().await;
    let again = tracker.app.device(&tracker.me, "laptop again").await;
    hint(&tracker, &tracker.device, &buckets(0..10)).await;
    // Ids are of the machine's own time.
    tracker.app.clock.set(Clock::machine_now() + chrono::TimeDelta::days(8));
    assert_eq!(hint(&tracker, &again, &buckets(0..10)).await, Value::Null);
}

#[tokio::test]
async fn a_look_that_comes_to_nothing_neither_fails_nor_holds_a_post() {
    let tracker = Tracker::start().await;
    hint(&tracker, &tracker.device, &buckets(0..10)).await;
    let again = tracker.app.device(&tracker.me, "laptop again").await;
    // Its token is known from here on.
    hint(&tracker, &again, &buckets(20..21)).await;
    let mut busy = Vec::new();
    for _ in 0..4 {
        busy.push(tracker.app.pools.read.begin(&context(), Access::NOBODY, Mode::Snapshot).await.unwrap());
    }
    let started = std::time::Instant::now();
    assert_eq!(hint(&tracker, &again, &buckets(0..3)).await, Value::Null);
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    for tx in busy {
        tx.rollback().await.unwrap();
    }
    assert_eq!(hint(&tracker, &again, &buckets(3..10)).await["equal_buckets"], 7, "the next one is looked at");
}
