//! `Prefer: handling=lenient`: one bad bucket does not hold up the others.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Tracker, bucket, snapshot, verdicts};
use crate::support::Reply;

async fn post(tracker: &Tracker, prefer: &[&str], body: &Value) -> Reply {
    let mut request = tracker.app.request(Method::POST, "/v1/buckets").bearer(&tracker.device.token).json(body);
    for value in prefer {
        request = request.header("prefer", value);
    }
    request.send().await
}

fn mixed() -> Value {
    json!({"buckets": [
        bucket(&json!({"hour_start": "2026-11-20T10:31:00Z", "input_tokens": -1})),
        snapshot(1, 40),
        "no bucket",
        snapshot(2, 41),
    ]})
}

#[tokio::test]
async fn good_buckets_are_written_and_bad_ones_named_in_their_places() {
    let tracker = Tracker::start().await;
    let reply = post(&tracker, &["handling=lenient"], &mixed()).await;
    assert_eq!(verdicts(&reply), ["rejected", "superseded", "rejected", "inserted"]);
    assert_eq!(reply.header("preference-applied"), "handling=lenient");
    let receipt = reply.expect_ok();
    assert_eq!((&receipt["received"], &receipt["rejected"], &receipt["inserted"]), (&4.into(), &2.into(), &1.into()));
    let rejections = receipt["rejections"].as_array().unwrap();
    let named: Vec<_> = rejections
        .iter()
        .map(|rejection| {
            assert!(rejection["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{rejection}");
            (
                rejection["index"].as_u64().unwrap(),
                rejection["pointer"].as_str().unwrap(),
                rejection["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            (0, "/buckets/0/hour_start", "not_a_half_hour"),
            (0, "/buckets/0/input_tokens", "out_of_range"),
            (2, "/buckets/2", "wrong_type"),
        ]
    );
    assert_eq!(tracker.row().await["input_tokens"], 2);
}

#[tokio::test]
async fn the_preference_is_found_among_others_and_everything_else_is_strict() {
    let tracker = Tracker::start().await;
    for prefer in [&["wait=5, Handling=\"lenient\"; x=\"a,b\""][..], &["respond-async", "handling=lenient"]] {
        assert_eq!(post(&tracker, prefer, &mixed()).await.status, 200, "{prefer:?}");
    }
    for prefer in
        [&[][..], &["handling=strict"], &["handling=strict", "handling=lenient"], &["note=\"handling=lenient\""]]
    {
        let reply = post(&tracker, prefer, &mixed()).await;
        assert_eq!(reply.expect_problem(422, "invalid")["errors"].as_array().unwrap().len(), 3, "{prefer:?}");
        assert_eq!(reply.header("preference-applied"), "");
    }
}

#[tokio::test]
async fn a_request_of_only_bad_buckets_succeeds_and_writes_nothing() {
    let tracker = Tracker::start().await;
    let reply = post(&tracker, &["handling=lenient"], &json!({"buckets": [null, {}]})).await;
    assert_eq!(verdicts(&reply), ["rejected", "rejected"]);
    assert_eq!(reply.json["rejections"].as_array().unwrap().len(), 4, "{}", reply.json);
    assert!(tracker.rows().await.is_empty());
}

#[tokio::test]
async fn what_is_wrong_around_the_buckets_fails_the_request_all_the_same() {
    let tracker = Tracker::start().await;
    let lenient = &["handling=lenient"];
    let unknown = json!({"buckets": [snapshot(1, 40), 7], "version": 2});
    let reply = post(&tracker, lenient, &unknown).await;
    let errors = reply.expect_problem(422, "invalid")["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["pointer"], errors.len()), (&"/version".into(), 2), "with what is wrong inside");
    post(&tracker, lenient, &json!([snapshot(1, 40)])).await.expect_problem(422, "invalid");
    let many = json!({"buckets": vec![snapshot(1, 40); 501]});
    post(&tracker, lenient, &many).await.expect_problem(413, "batch_too_large");
    assert!(tracker.rows().await.is_empty());
}

#[tokio::test]
async fn rejections_are_bounded_however_bad_a_bucket_is() {
    let tracker = Tracker::start().await;
    let awful: serde_json::Map<_, _> = (0..2000).map(|number| (format!("field{number}"), Value::Null)).collect();
    let reply = post(&tracker, &["handling=lenient"], &json!({"buckets": [awful, snapshot(1, 40)]})).await;
    assert_eq!(verdicts(&reply), ["rejected", "inserted"]);
    let rejections = reply.json["rejections"].as_array().unwrap();
    assert_eq!((rejections.len(), &rejections[20]["code"]), (21, &"too_many_violations".into()));
}
