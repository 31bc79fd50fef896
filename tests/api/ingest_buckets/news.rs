//! Buckets that were never seen before, and writers that expect nothing else: they insert without a comparison, and nobody
//! can tell by what comes of it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::held::{Hold, batches_waiting, decoy, send};
use super::{Tracker, bucket, rows, snapshot, verdicts};
use crate::support::TestApp;

/// After as many batches that were new throughout, a writer expects more of them.
const ENOUGH: u32 = 4;

/// Lets both writers have enough of them, with models from `first` on.
async fn have_both_writers_expect_news(tracker: &Tracker, app: &TestApp, first: u32) {
    for round in 0..ENOUGH {
        let hold = Hold::of_all_buckets(app).await;
        let mut sent = Vec::new();
        for writer in 0..2 {
            sent.push(send(app, &tracker.device.token, &[], &[decoy(first + 2 * round + writer)]));
            batches_waiting(app, writer + 1).await;
        }
        hold.release().await;
        for reply in join_all(sent).await {
            assert_eq!(verdicts(&reply.unwrap()), ["inserted"]);
        }
    }
}

/// A tracker whose server expects nothing else.
async fn expecting_news() -> Tracker {
    let tracker = Tracker::start().await;
    have_both_writers_expect_news(&tracker, &tracker.app, 100).await;
    tracker
}

/// A bucket of some model, taken in that minute of its half hour.
fn of(model: &str, input_tokens: u32, minute: u32) -> Value {
    let observed_at = format!("2026-11-20T10:{minute}:00Z");
    bucket(&json!({"model": model, "input_tokens": input_tokens, "observed_at": observed_at}))
}

/// Somebody else's bucket in the making: a copy of one that stands, as another model, with these counts, taken in that minute.
async fn in_the_making(tracker: &Tracker, copied: &str, model: &str, input_tokens: u32, minute: u32) -> Hold {
    let sql = format!(
        "insert into usage.bucket (
             user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens, cache_write_5m_tokens,
             cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens, request_count, observed_at,
             changed_at, stamped, rank
         )
         select user_id, hour_start, device_id, source, '{model}', {input_tokens}, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, '2026-11-20T10:{minute}:00Z', changed_at, stamped, rank
         from usage.bucket where model = '{copied}'"
    );
    Hold::begin(&tracker.app, &sql).await
}

#[tokio::test]
async fn what_is_expected_to_be_new_is_inserted_and_published_without_a_comparison() {
    let tracker = expecting_news().await;
    let events = tracker.events().await;
    let hold = Hold::of_all_buckets(&tracker.app).await;
    let sent = tracker.send(&[], &[snapshot(1, 40), decoy(1), decoy(2)]);
    batches_waiting(&tracker.app, 1).await;
    let sql = "select 'asked' from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
        and application_name = 'halfhour ingest' and query like '-- Inserts buckets of which none stands yet%'";
    tracker.app.wait_for(sql).await;
    hold.release().await;
    assert_eq!(verdicts(&sent.await.unwrap()), ["inserted"; 3]);
    assert_eq!(tracker.rows().await.len(), 3 + 8);
    assert!(tracker.events().await > events);
}

#[tokio::test]
async fn what_somebody_else_inserts_meanwhile_is_compared_after_all() {
    let tracker = Tracker::start().await;
    assert_eq!(tracker.verdicts(&[of("copied", 1, 40)]).await, ["inserted"]);
    for (round, (theirs, minute, verdict)) in
        [(1, 30, "updated"), (9, 50, "stale"), (5, 40, "unchanged")].iter().enumerate()
    {
        have_both_writers_expect_news(&tracker, &tracker.app, 100 * (u32::try_from(round).unwrap() + 1)).await;
        let [model, beside] = ["both", "beside"].map(|name| format!("{name}-{round}"));
        let other = in_the_making(&tracker, "copied", &model, *theirs, *minute).await;
        let (post, key) = ([of(&model, 5, 40), of(&beside, 1, 40)], format!("key-{round}"));
        let sent = tracker.send(&[("idempotency-key", &key)], &post);
        batches_waiting(&tracker.app, 1).await;
        other.commit().await;
        let reply = sent.await.unwrap();
        assert_eq!(verdicts(&reply), [verdict, "inserted"]);
        let stored = rows(&tracker.app, &format!("model = '{model}'")).await;
        let wins = if *verdict == "stale" { *theirs } else { 5 };
        assert_eq!((stored.len(), &stored[0]["input_tokens"]), (1, &json!(wins)));
        // The key was recorded with the answer of the second transaction, and only there.
        let again = tracker.send(&[("idempotency-key", &key)], &post).await.unwrap();
        assert_eq!(verdicts(&again), [verdict, "inserted"]);
        assert_eq!(again.expect_ok()["request_id"], reply.expect_ok()["request_id"]);
    }
}

#[tokio::test]
async fn what_somebody_else_takes_back_was_new() {
    let tracker = Tracker::start().await;
    assert_eq!(tracker.verdicts(&[of("copied", 1, 40)]).await, ["inserted"]);
    have_both_writers_expect_news(&tracker, &tracker.app, 100).await;
    let other = in_the_making(&tracker, "copied", "both", 9, 50).await;
    let sent = tracker.send(&[], &[of("both", 5, 40)]);
    batches_waiting(&tracker.app, 1).await;
    other.release().await;
    assert_eq!(verdicts(&sent.await.unwrap()), ["inserted"]);
}

#[tokio::test]
async fn what_stands_was_erased_or_is_sent_twice_is_compared_whatever_is_expected() {
    let tracker = expecting_news().await;
    assert_eq!(tracker.verdicts(&[snapshot(1, 40), decoy(100)]).await, ["inserted", "unchanged"]);
    have_both_writers_expect_news(&tracker, &tracker.app, 200).await;
    assert_eq!(tracker.verdicts(&[snapshot(2, 41), decoy(1)]).await, ["updated", "inserted"]);
    have_both_writers_expect_news(&tracker, &tracker.app, 300).await;
    assert_eq!(tracker.verdicts(&[of("twice", 1, 50), of("twice", 2, 40)]).await, ["inserted", "superseded"]);
    have_both_writers_expect_news(&tracker, &tracker.app, 400).await;
    let user = tracker.me.user_id;
    tracker
        .execute(format!(
            "insert into usage.erasure (user_id, erasure_id, erased_at, device_id, source, first_hour, last_hour)
             values ('{user}', gen_random_uuid(), '2026-11-20T10:45:00Z', null, null, '-infinity', 'infinity')"
        ))
        .await;
    assert_eq!(tracker.verdicts(&[of("before", 1, 45), of("after", 1, 46)]).await, ["erased", "inserted"]);
}

#[tokio::test]
async fn two_servers_that_both_expect_news_agree_on_the_newest_of_the_same_buckets() {
    let tracker = expecting_news().await;
    let second = tracker.app.second_server().await;
    have_both_writers_expect_news(&tracker, &second, 1000).await;
    for round in 0..12 {
        let all = |minute: u32| {
            (0..60).map(|place| of(&format!("round-{round}-{place}"), minute, minute)).collect::<Vec<_>>()
        };
        let posts = [(&tracker.app, 40), (&second, 41), (&tracker.app, 42), (&second, 43)];
        let posts = posts.map(|(app, minute)| send(app, &tracker.device.token, &[], &all(minute)));
        for reply in join_all(posts).await {
            reply.unwrap().expect_ok();
        }
        let stored = rows(&tracker.app, &format!("model like 'round-{round}-%'")).await;
        assert_eq!(stored.len(), 60);
        assert!(stored.iter().all(|row| row["input_tokens"] == json!(43)), "round {round}: {stored:?}");
    }
}
