//! The database goes away under the writer, before, during and just after a commit: what was acknowledged is there, what
//! was not may be sent again, and nothing counts twice.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::held::{batches_waiting, cut_connections, decoy, send};
use super::{Tracker, bucket, rows, snapshot, verdicts};
use crate::support::line;

#[tokio::test]
async fn a_lost_connection_is_tried_again_twice_and_the_client_sees_nothing_of_it() {
    let tracker = Tracker::start().await;
    let (hold, posts) = tracker.hold_both_writers().await;
    for _ in 0..2 {
        cut_connections(&tracker.app).await;
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
        cut_connections(&tracker.app).await;
        batches_waiting(&tracker.app, 2).await;
    }
    cut_connections(&tracker.app).await;
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
            cut_connections(&tracker.app).await;
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

/// Stands between a server and its database, and can swallow the database's answer to a commit.
struct Proxy {
    directory: TempDir,
    commits_to_swallow: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(socket: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(socket.file_name().unwrap())).unwrap();
        let commits_to_swallow = Arc::new(AtomicUsize::new(0));
        let (database, left) = (socket.to_owned(), commits_to_swallow.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, UnixStream::connect(&database).await.unwrap(), left.clone()));
            }
        });
        Self { directory, commits_to_swallow }
    }
}

/// Passes everything on, but after a commit that is to be swallowed closes both sides instead of its answer.
async fn forward(mut client: UnixStream, mut database: UnixStream, to_swallow: Arc<AtomicUsize>) {
    let (mut question, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let Ok(length @ 1..) = read else { return };
                database.write_all(&question[..length]).await.unwrap();
                let swallow = |left: usize| left.checked_sub(1);
                // A simple query: its tag, its length, and its text with a zero.
                if question[..length] == *b"Q\0\0\0\x0bcommit\0"
                    && to_swallow.fetch_update(Ordering::Relaxed, Ordering::Relaxed, swallow).is_ok()
                {
                    let length = database.read(&mut answer).await.unwrap();
                    assert_eq!(answer[..length], *b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I");
                    return;
                }
            }
            read = database.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test]
async fn when_the_answer_to_a_commit_is_lost_the_writer_finds_out_what_happened() {
    let tracker = Tracker::start().await;
    let socket = tracker.app.superuser.get_socket().unwrap();
    let proxy = Proxy::start(&socket.join(format!(".s.PGSQL.{}", tracker.app.superuser.get_port())));
    let server = tracker.app.second_server_through(proxy.directory.path()).await;
    let token = &tracker.device.token;

    // Without a key the same snapshot is simply there already.
    proxy.commits_to_swallow.store(1, Ordering::Relaxed);
    let reply = send(&server, token, &[], &[snapshot(7, 40)]).await.unwrap();
    assert_eq!(verdicts(&reply), ["unchanged"]);
    assert_eq!(line(reply.header("x-request-id"))["retries"], 1);
    // With one, the record of the lost commit is the answer, and no replay of an earlier request.
    proxy.commits_to_swallow.store(2, Ordering::Relaxed);
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

    assert_eq!(proxy.commits_to_swallow.load(Ordering::Relaxed), 0);
    assert_eq!((tracker.rows().await.len(), tracker.events().await), (2, 2), "one event a change");
}

#[tokio::test]
async fn when_every_answer_is_lost_the_client_is_told_to_ask_again_and_then_gets_the_answer() {
    let tracker = Tracker::start().await;
    let socket = tracker.app.superuser.get_socket().unwrap();
    let proxy = Proxy::start(&socket.join(format!(".s.PGSQL.{}", tracker.app.superuser.get_port())));
    let server = tracker.app.second_server_through(proxy.directory.path()).await;
    proxy.commits_to_swallow.store(3, Ordering::Relaxed);
    let key = [("idempotency-key", "one")];
    let lost = send(&server, &tracker.device.token, &key, &[snapshot(7, 40)]).await.unwrap();
    lost.expect_problem(503, "database_unavailable");
    let found = send(&server, &tracker.device.token, &key, &[snapshot(7, 40)]).await.unwrap();
    assert_eq!((verdicts(&found)[0].as_str(), found.header("idempotency-replayed")), ("inserted", "true"));
    assert_eq!(found.json["request_id"], lost.header("x-request-id"));
    assert_eq!((tracker.rows().await.len(), tracker.events().await), (1, 1));
}
