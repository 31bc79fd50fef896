//! A server on several threads, each with its own connections, its own queue and its own writer.

use std::num::NonZeroUsize;

use futures_util::future::join_all;
use halfhour::kernel::call::{RunningThreads, Threads};
use serde_json::json;

use super::held::{Hold, batches_waiting, decoy, rows_queued, send};
use super::{Tracker, bucket, rows, verdicts};
use crate::support::TestApp;

/// With both connections of the ingest pool, each of these has a writer.
const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A tracker, and a server on threads that end when they are dropped.
async fn on_two_threads() -> (Tracker, TestApp, RunningThreads) {
    let tracker = Tracker::start().await;
    let threads = Threads::start(TWO).unwrap();
    let server = tracker.app.second_server_on(threads.threads()).await;
    (tracker, server, threads)
}

#[tokio::test]
async fn a_lock_on_one_bucket_holds_up_neither_its_threads_posts_nor_other_threads() {
    let (tracker, server, _threads) = on_two_threads().await;
    assert_eq!(tracker.verdicts(&[decoy(1)]).await, ["inserted"]);
    let hold = Hold::of_buckets(&tracker.app, "true").await;
    let locked = send(&server, &tracker.device.token, &[], &[bucket(&json!({"model": "decoy-1", "input_tokens": 2}))]);
    batches_waiting(&server, 1).await;

    let strangers = tracker.strangers(12).await;
    let others = strangers.iter().map(|(_, device)| send(&server, &device.token, &[], &[decoy(2)]));
    for reply in join_all(others.collect::<Vec<_>>()).await {
        assert_eq!(verdicts(&reply.unwrap()), ["inserted"]);
    }
    assert!(!locked.is_finished(), "whoever is locked waits");
    hold.release().await;
    assert_eq!(verdicts(&locked.await.unwrap()), ["updated"]);
    rows_queued(&server, 0).await;
}

#[tokio::test]
async fn one_key_on_connections_of_both_threads_is_executed_once() {
    let (tracker, server, _threads) = on_two_threads().await;
    for round in 0..8 {
        let key = format!("key-{round}");
        let headers = [("idempotency-key", key.as_str())];
        let posts = (0..6).map(|_| send(&server, &tracker.device.token, &headers, &[decoy(round)]));
        for reply in join_all(posts.collect::<Vec<_>>()).await {
            assert_eq!(verdicts(&reply.unwrap()), ["inserted"], "a second execution would find it unchanged");
        }
    }
    assert_eq!(rows(&server, "true").await.len(), 8);
}

#[tokio::test]
async fn all_threads_have_one_queue_of_so_many_rows_and_one_pool() {
    let (tracker, server, _threads) = on_two_threads().await;
    let hold = Hold::of_all_buckets(&server).await;
    let models = |count: u32| (0..count).map(decoy).collect::<Vec<_>>();
    let full: Vec<_> = (0..64).map(|_| send(&server, &tracker.device.token, &[], &models(500))).collect();
    rows_queued(&server, 32_000).await;
    let refused = send(&server, &tracker.device.token, &[], &[decoy(600)]).await.unwrap();
    refused.expect_problem(503, "overloaded");
    batches_waiting(&server, 2).await;
    let load = server.pools.ingest.load();
    assert_eq!((load.max, load.open, load.in_use), (2, 2, 2));
    hold.release().await;
    for reply in join_all(full).await {
        reply.unwrap().expect_ok();
    }
    assert_eq!((rows(&server, "true").await.len(), server.writer().queued_rows()), (500, 0));
}

#[tokio::test]
async fn where_no_more_connections_may_be_opened_a_thread_uses_one_of_another_that_rests() {
    let (tracker, server, _threads) = on_two_threads().await;
    // A connection of a client on each thread, and one to the database of the thread whose post it is.
    let hold = Hold::of_all_buckets(&server).await;
    let first = send(&server, &tracker.device.token, &[], &[decoy(1)]);
    batches_waiting(&server, 1).await;
    server.get(&tracker.me.viewer, "/v1/rollups").await.expect_ok();
    hold.release().await;
    assert_eq!(verdicts(&first.await.unwrap()), ["inserted"]);
    assert_eq!(server.pools.ingest.load().open, 1);
    let database = tracker.app.login.get_database().unwrap();
    tracker.execute(format!("alter database {database} connection limit 1")).await;
    let posts = (2..4).map(|number| send(&server, &tracker.device.token, &[], &[decoy(number)]));
    for reply in join_all(posts.collect::<Vec<_>>()).await {
        assert_eq!(verdicts(&reply.unwrap()), ["inserted"]);
    }
    assert_eq!(server.pools.ingest.load().open, 1, "no other could be opened");
}
