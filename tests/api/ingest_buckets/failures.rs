//! The database goes away under the writer, before, during and just after a commit: what was acknowledged is there, what
//! was not may be sent again, and nothing counts twice.

use futures_util::future::join_all;
use serde_json::json;

use super::held::{batches_waiting, decoy, send};
use super::{Tracker, bucket, rows, snapshot, verdicts};
use crate::support::{Proxy, line};

#[tokio::test]
async fn a_lost_connection_is_tried_again_twice_and_the_client_sees_nothing_of_it() {
    let tracker = Tracker::start().await;
    let (hold, posts) = tracker.hold_both_writers().await;
    for _ in 0..2 {
        tracker.app.cut_connections("ingest").await;
        batches_waiting(&tracker.app, 2).await;
    }
    hold.release().await;
    for post in posts {
        let reply = post.await.unwrap();
        assert_eq!(verdicts(&reply), ["inserted"]);
        let line = line(reply.header("x-request-id"));
        assert_eq!((&line["retries"], &line["upstream_status"]), (&2.into(), &200.into()), "{line}");
    }
}

#[tokio::test]
async fn a_database_that_keeps_going_away_is_a_503_and_nothing_is_written() {
    let tracker = Tracker::start().await;
    let (hold, posts) = tracker.hold_both_writers().await;
    for _ in 0..2 {
        tracker.app.cut_connections("ingest").await;
        batches_waiting(&tracker.app, 2).await;
    }
    tracker.app.cut_connections("ingest").await;
    for post in posts {
        let reply = post.await.unwrap();
        reply.expect_problem(503, "database_unavailable");
        assert!(!reply.header("retry-after").is_empty());
        let line = line(reply.header("x-request-id"));
        assert_eq!((&line["upstream_status"], &line["attribution"]), (&503.into(), &"UPSTREAM".into()), "{line}");
    }
    hold.release().await;
    assert!(tracker.rows().await.is_empty() && tracker.events().await == 0);
    assert_eq!(tracker.verdicts(&[decoy(1)]).await, ["inserted"], "and afterwards all is well");
}

#[tokio::test]
async fn what_is_acknowledged_while_connections_break_is_there() {
    let tracker = Tracker::start().await;
    let second_server = tracker.app.second_server().await;
    let client = async |number: u32| {
        let server = if number.is_multiple_of(2) { &tracker.app } else { &second_server };
        let mut acknowledged = Vec::new();
        for post in 0..25 {
            let model = format!("client-{number}-{post}");
            let buckets = [bucket(&json!({"model": model, "input_tokens": 7})), snapshot(i64::from(post), 40)];
            let reply = send(server, &tracker.device.token, &[], &buckets).await.unwrap();
            match reply.status {
                200 => acknowledged.push(model),
                _ => drop(reply.expect_problem(503, "database_unavailable")),
            }
        }
        acknowledged
    };
    let breaker = async {
        for _ in 0..20 {
            tracker.app.cut_connections("ingest").await;
        }
    };
    let (acknowledged, ()) = tokio::join!(join_all((0..4).map(client)), breaker);
    let acknowledged = acknowledged.concat();
    assert!(acknowledged.len() > 10, "hardly anything got through: {acknowledged:?}");
    let found = rows(&tracker.app, "model like 'client-%'").await;
    let found: Vec<_> = found.iter().map(|row| row["model"].as_str().unwrap()).collect();
    assert!(acknowledged.iter().all(|model| found.contains(&model.as_str())), "{acknowledged:?} {found:?}");
    tracker.app.drain().await;
    let difference = "select 'differs' from (select sum(total_tokens) as sum from usage.bucket) b,
                      (select sum(total_tokens) as sum from rollup.daily) r where r.sum is distinct from b.sum";
    assert!(tracker.app.ask(difference).await.is_empty());
}

#[tokio::test]
async fn when_the_answer_to_a_commit_is_lost_the_writer_finds_out_what_happened() {
    let tracker = Tracker::start().await;
    let proxy = Proxy::before_database_of(&tracker.app);
    let server = tracker.app.second_server_through(&proxy).await;
    let token = &tracker.device.token;

    // Without a key the same snapshot is simply there already.
    proxy.swallow_commits(1);
    let reply = send(&server, token, &[], &[snapshot(7, 40)]).await.unwrap();
    assert_eq!(verdicts(&reply), ["unchanged"]);
    assert_eq!(line(reply.header("x-request-id"))["retries"], 1);
    // With one, the record of the lost commit is the answer, and no replay of an earlier request.
    proxy.swallow_commits(2);
    let buckets = [snapshot(8, 41), decoy(1)];
    let key = [("idempotency-key", "one"), ("prefer", "handling=lenient")];
    let first = send(&server, token, &key, &buckets).await.unwrap();
    assert_eq!(verdicts(&first), ["updated", "inserted"]);
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(first.json["request_id"], first.header("x-request-id"));
    let line = line(first.header("x-request-id"));
    assert_eq!((&line["retries"], &line["idempotency"]), (&2.into(), &"executed".into()));
    let again = send(&tracker.app, token, &key, &buckets).await.unwrap();
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));

    assert_eq!(proxy.commits_to_swallow(), 0);
    assert_eq!((tracker.rows().await.len(), tracker.events().await), (2, 2), "one event a change");
}

#[tokio::test]
async fn when_every_answer_is_lost_the_client_is_told_to_ask_again_and_then_gets_the_answer() {
    let tracker = Tracker::start().await;
    let proxy = Proxy::before_database_of(&tracker.app);
    let server = tracker.app.second_server_through(&proxy).await;
    proxy.swallow_commits(3);
    let key = [("idempotency-key", "one")];
    let lost = send(&server, &tracker.device.token, &key, &[snapshot(7, 40)]).await.unwrap();
    lost.expect_problem(503, "database_unavailable");
    let found = send(&server, &tracker.device.token, &key, &[snapshot(7, 40)]).await.unwrap();
    assert_eq!((verdicts(&found)[0].as_str(), found.header("idempotency-replayed")), ("inserted", "true"));
    assert_eq!(found.json["request_id"], lost.header("x-request-id"));
    assert_eq!((tracker.rows().await.len(), tracker.events().await), (1, 1));
}
