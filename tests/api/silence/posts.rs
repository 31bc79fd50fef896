//! Silence under the writer: before a batch, in its middle, at its commit, and just behind it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{PATIENCE, Stage, expect_blame};
use crate::support::{TestApp, line};

/// Somebody else's lock, so that both writer tasks wait in the middle of a batch.
async fn hold_buckets(app: &TestApp) -> PgConnection {
    let mut held = PgConnection::connect_with(&app.superuser).await.unwrap();
    held.execute(sqlx::raw_sql("begin; lock table usage.bucket in exclusive mode")).await.unwrap();
    held
}

async fn batches_waiting(app: &TestApp, count: u32) {
    app.wait_for(&format!(
        "select 'as many as expected' from pg_stat_activity
         where datname = current_database() and application_name = 'halfhour ingest' and wait_event_type = 'Lock'
         having count(*) = {count}"
    ))
    .await;
}

#[tokio::test]
async fn connections_that_fall_silent_in_the_middle_of_batches_are_given_up_and_replaced() {
    let stage = Stage::set().await;
    let held = hold_buckets(&stage.app).await;
    let first = stage.send("first");
    batches_waiting(&stage.app, 1).await;
    let second = stage.send("second");
    batches_waiting(&stage.app, 2).await;
    let started = Instant::now();
    stage.proxy.lose_connections_of("ingest");
    held.close().await.unwrap();

    for lost in [first, second] {
        let reply = lost.await.unwrap();
        reply.expect_problem(503, "database_unavailable");
        assert!(!reply.header("retry-after").is_empty());
        let line = expect_blame(&reply);
        assert_eq!(
            (&line["upstream_status"], &line["upstream_evidence"]),
            (&json!(504), &json!("no_answer")),
            "{line}"
        );
        assert!(started.elapsed() < Duration::from_secs(6) + PATIENCE, "{:?}", started.elapsed());
    }
    // On as many new connections as there may be.
    for reply in join_all(["third", "fourth", "fifth"].map(|model| stage.post(model))).await {
        reply.expect_ok();
        assert_eq!(line(reply.header("x-request-id"))["attribution"], "NONE");
    }
    assert_eq!(stage.server.pools.ingest.load().in_use, 0);
}

#[tokio::test]
async fn connections_that_fall_silent_while_nobody_uses_them_cost_one_post_and_no_more() {
    let stage = Stage::set().await;
    for reply in join_all(["a", "b", "c", "d"].map(|model| stage.post(model))).await {
        reply.expect_ok();
    }
    stage.proxy.lose_connections_of("ingest");
    let started = Instant::now();
    let reply = stage.post("lost").await;
    reply.expect_problem(503, "database_unavailable");
    assert_eq!(expect_blame(&reply)["upstream_evidence"], "no_answer");
    assert!(started.elapsed() < Duration::from_secs(1) + PATIENCE);
    // The other connection is as old, and is not tried.
    stage.post("lost").await.expect_ok();
    stage.read().await.expect_ok();
}

#[tokio::test]
async fn a_connection_that_falls_silent_behind_a_commit_takes_no_place_in_the_pool_for_good() {
    let stage = Stage::set().await;
    // More than there are places.
    let mut acknowledged = vec!["warm".to_owned()];
    stage.proxy.mute_behind_commits(4);
    for number in 0..20 {
        let model = format!("m{number:02}");
        let reply = stage.post(&model).await;
        if reply.status == 200 {
            acknowledged.push(model);
        } else {
            expect_blame(&reply);
        }
        if stage.proxy.commits_to_mute_behind() == 0 {
            break;
        }
    }
    assert_eq!(stage.proxy.commits_to_mute_behind(), 0, "the pool is dead: {acknowledged:?}");
    let recovery = stage.recovery(async |stage| stage.post("after").await).await;
    assert!(recovery < Duration::from_secs(1) + PATIENCE, "{recovery:?}");
    let stored = stage.stored().await;
    assert!(acknowledged.iter().all(|model| stored.contains(model)), "{acknowledged:?} {stored:?}");
}

#[tokio::test]
async fn a_commit_whose_answer_never_comes_is_a_503_and_the_same_post_again_counts_once() {
    let stage = Stage::set().await;
    stage.proxy.mute_commits(1);
    let started = Instant::now();
    let reply = stage.post("lost").await;
    reply.expect_problem(503, "database_unavailable");
    assert!(started.elapsed() < Duration::from_secs(6) + PATIENCE, "{:?}", started.elapsed());
    assert_eq!(expect_blame(&reply)["attribution"], "UPSTREAM");
    assert_eq!(stage.stored().await, ["lost", "warm"], "it was committed");

    let again = stage.post("lost").await;
    assert_eq!(again.expect_ok()["verdicts"][0], "unchanged", "{}", again.json);
    let events = "select count(*)::text from usage.outbox";
    assert_eq!(stage.app.ask(events).await, ["2"], "one event for each bucket");
}

#[tokio::test]
async fn a_post_that_waits_when_its_time_is_up_is_not_put_down_to_the_application() {
    let stage = Stage::with_deadline(Duration::from_secs(1)).await;
    let held = hold_buckets(&stage.app).await;
    let under_way = [stage.send("first"), stage.send("second")];
    batches_waiting(&stage.app, 2).await;
    let queued = stage.send("queued");
    for (post, attribution, evidence) in
        under_way.into_iter().map(|post| (post, "UPSTREAM", json!(null))).chain([(queued, "UNKNOWN", json!("queued"))])
    {
        let reply = post.await.unwrap();
        reply.expect_problem(504, "deadline_exceeded");
        let line = expect_blame(&reply);
        assert_eq!((&line["attribution"], &line["upstream_evidence"]), (&attribution.into(), &evidence), "{line}");
    }
    held.close().await.unwrap();
}

#[tokio::test]
async fn a_stopped_backend_is_left_alone_and_posts_go_on_without_it() {
    let stage = Stage::set().await;
    let backends = stage
        .app
        .ask(
            "select pid::text from pg_stat_activity
             where datname = current_database() and application_name = 'halfhour ingest'",
        )
        .await;
    let signal = |signal| {
        for backend in &backends {
            let backend = rustix::process::Pid::from_raw(backend.parse().unwrap()).unwrap();
            rustix::process::kill_process(backend, signal).unwrap();
        }
    };
    signal(rustix::process::Signal::STOP);
    let reply = stage.post("stopped").await;
    let recovery = stage.recovery(async |stage| stage.post("after").await).await;
    signal(rustix::process::Signal::CONT);
    reply.expect_problem(503, "database_unavailable");
    assert_eq!(expect_blame(&reply)["attribution"], "UPSTREAM");
    assert!(recovery < Duration::from_secs(1) + PATIENCE, "{recovery:?}");
}
