//! Streams while they are being read: staged as they come, in constant memory, under a lease of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Row as _};
use tokio::io::AsyncWriteExt as _;

use super::bucket;
use crate::support::{TestApp, TestDevice, TestUser, instant};

const QUERY: &str = "from=2026-11-01&to=2026-11-20";
const HOUR: &str = "2026-11-20T10:30:00Z";
/// Lines of one chunk.
const CHUNK: usize = 100;

async fn start() -> (TestApp, TestUser, TestDevice) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    (app, user, device)
}

fn request(user: &TestUser, key: &str, body: Body) -> Request<Body> {
    Request::post(format!("/v1/backfills?action=import&reason=r&{QUERY}"))
        .header("authorization", format!("Bearer {}", user.operator))
        .header("content-type", "application/x-ndjson")
        .header("idempotency-key", key)
        .body(body)
        .unwrap()
}

async fn json_of(response: axum::response::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// A chunk of lines, no two alike.
fn chunk(user: &TestUser, device: &TestDevice, first: usize) -> String {
    let line = |at: usize| bucket(user, device, HOUR, &format!("m{at}"), 1).to_string() + "\n";
    (first..first + CHUNK).map(line).collect()
}

async fn staged(admin: &PgPool) -> usize {
    let row = admin.fetch_one("select count(*) from backfill.plan_row").await.unwrap();
    row.get::<i64, _>(0).try_into().unwrap()
}

#[tokio::test]
async fn whenever_more_of_a_stream_is_asked_for_all_but_its_last_batch_is_staged() {
    for (chunks, key) in [(25, "short"), (100, "long")] {
        let (app, user, device) = start().await;
        let parts: Vec<String> = (0..chunks).map(|at| chunk(&user, &device, at * CHUNK)).collect();
        // The body asks the database, each time that the server asks for more, how much of what it gave is in there.
        let most = Arc::new(AtomicUsize::new(0));
        let (seen, admin) = (most.clone(), app.admin.clone());
        let body = stream::unfold((parts.into_iter(), 0), move |(mut parts, given)| {
            let (seen, admin) = (seen.clone(), admin.clone());
            async move {
                seen.fetch_max(given - staged(&admin).await, Ordering::Relaxed);
                let part = parts.next()?;
                Some((Ok::<_, std::io::Error>(part), (parts, given + CHUNK)))
            }
        });
        let (status, job) = json_of(app.answer(request(&user, key, Body::from_stream(body))).await).await;
        assert_eq!((status, &job["progress"]["total"]), (201, &json!(chunks * CHUNK)), "{job}");
        let most = most.load(Ordering::Relaxed);
        assert!(most > 0 && most < 1_000 + CHUNK, "{most} lines were held at once, of {}", chunks * CHUNK);
    }
}

#[tokio::test]
async fn a_stream_that_flows_slowly_keeps_its_lease_and_one_that_pauses_loses_it() {
    let (app, user, device) = start().await;
    let slow = async |key: &str, pause_s: i64| {
        let parts: Vec<String> =
            (0..10).map(|at| bucket(&user, &device, HOUR, &format!("{key}{at}"), 1).to_string() + "\n").collect();
        let (clock, admin) = (app.clock.clone(), app.admin.clone());
        let body = stream::unfold((parts.into_iter(), clock, admin), move |(mut parts, clock, admin)| async move {
            // Time passes, for the server and for the database.
            clock.set(clock.now() + chrono::TimeDelta::seconds(pause_s));
            let passes = format!(
                "update backfill.job set lease_until = lease_until - interval '{pause_s} s' where state = 'planning'"
            );
            admin.execute(sqlx::raw_sql(AssertSqlSafe(passes))).await.unwrap();
            let part = parts.next()?;
            Some((Ok::<_, std::io::Error>(part), (parts, clock, admin)))
        });
        app.clock.set(instant("2026-11-20T12:00:00Z"));
        json_of(app.answer(request(&user, key, Body::from_stream(body))).await).await
    };
    let (status, job) = slow("slow", 20).await;
    assert_eq!((status, &job["progress"]["total"]), (201, &json!(10)), "{job}");
    let (status, problem) = slow("pausing", 61).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    assert_eq!(app.ask("select count(*)::text from backfill.job where state = 'planned'").await, ["1"]);
}

#[tokio::test]
async fn while_a_stream_is_read_its_key_is_taken_and_a_cancellation_ends_it() {
    let (app, user, device) = start().await;
    let (sender, receiver) = tokio::sync::mpsc::channel::<String>(1);
    let body = stream::unfold(receiver, async |mut receiver| {
        let part = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(part), receiver))
    });
    let operator = async {
        sender.send(chunk(&user, &device, 0)).await.unwrap();
        let id = app.wait_for("select job_id::text from backfill.job where state = 'planning'").await;
        app.stream(&user.operator, "key", QUERY, "").await.expect_problem(409, "idempotency_in_progress");
        let json = super::import(&[bucket(&user, &device, HOUR, "gpt", 1)]);
        app.post_backfill(&user.operator, "key", &json).await.expect_problem(409, "idempotency_in_progress");
        let job = json!({"id": id, "version": 1});
        for order in ["execute", "rollback"] {
            app.tell_job(&user.operator, &job, order).await.expect_problem(409, "conflict");
        }
        let cancelled = app.tell_job(&user.operator, &job, "cancel").await.expect_ok().clone();
        assert_eq!((&cancelled["state"], &cancelled["version"]), (&json!("cancelled"), &json!(2)));
        for at in 1..=11 {
            // The server stops taking them in the middle.
            if sender.send(chunk(&user, &device, at * CHUNK)).await.is_err() {
                break;
            }
        }
        drop(sender);
        id
    };
    let (response, id) = tokio::join!(app.answer(request(&user, "key", Body::from_stream(body))), operator);
    let (status, problem) = json_of(response).await;
    assert_eq!((status, &problem["code"]), (409, &json!("conflict")), "{problem}");
    assert_eq!(app.ask("select state || ' ' || version from backfill.job").await, ["cancelled 2"]);
    // Whether what comes again is the same nobody can tell.
    for body in ["", "{}"] {
        let again = app.stream(&user.operator, "key", QUERY, body).await;
        assert!(again.expect_problem(409, "conflict")["detail"].as_str().unwrap().contains(&id));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_is_said_of_its_parameters() {
    let (app, user, _device) = start().await;
    let stranger = uuid::Uuid::now_v7();
    let query = format!("{QUERY}&user_ids={},{stranger}", user.user_id);
    let reply = app.stream(&user.operator, "key", &query, "{}").await;
    let error = &reply.expect_problem(422, "invalid")["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("?user_ids"), &json!("unknown_user")));
    assert_eq!(app.ask("select count(*)::text from backfill.job").await, ["0"]);
}

#[tokio::test]
async fn a_plan_without_a_single_row_has_nothing_left_to_do_and_does_not_end_well() {
    let (app, user, _device) = start().await;
    let job = app.stream(&user.operator, "key", QUERY, "{}").await.json;
    assert_eq!((&job["progress"]["total"], &job["progress"]["percent"]), (&json!(0), &json!(0.0)), "{job}");
    let done = app.executed(&user.operator, &job).await;
    assert_eq!((&done["failure"], &done["progress"]["percent"]), (&json!("incomplete"), &json!(100.0)), "{done}");
    let back = app.rolled_back(&user.operator, &done).await;
    assert_eq!((&back["state"], &back["progress"]["percent"]), (&json!("rolled_back"), &json!(100.0)), "{back}");
}

#[tokio::test]
async fn a_stream_whose_sender_goes_away_fails_its_job_at_once() {
    let (app, user, device) = start().await;
    let address = app.url.strip_prefix("http://").unwrap();
    let mut sender = tokio::net::TcpStream::connect(address).await.unwrap();
    let line = chunk(&user, &device, 0);
    let head = format!(
        "POST /v1/backfills?action=import&reason=r&{QUERY} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
         idempotency-key: key\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{line}\r\n",
        user.operator,
        line.len()
    );
    sender.write_all(head.as_bytes()).await.unwrap();
    app.wait_for("select 'so' from backfill.job where state = 'planning'").await;
    drop(sender);
    let failure = app.wait_for("select failure from backfill.job where state = 'failed'").await;
    assert_eq!(failure, "abandoned");
}

#[tokio::test]
async fn a_stream_outlasts_the_time_of_a_request_however_its_media_type_is_spelled() {
    let app = TestApp::start_with(|settings| settings.request_deadline = Duration::from_secs(1)).await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let spelled = |mut request: Request<Body>, media_type: &'static str| {
        request.headers_mut().insert("content-type", media_type.parse().unwrap());
        request
    };
    let (over, goes_on) = tokio::sync::oneshot::channel::<()>();
    let first = stream::iter([Ok::<_, std::io::Error>(chunk(&user, &device, 0))]);
    let last = chunk(&user, &device, CHUNK);
    let rest = stream::once(async move { goes_on.await.map(|()| last).map_err(std::io::Error::other) });
    let body = Body::from_stream(first.chain(rest));
    let stream = app.answer(spelled(request(&user, "key", body), "Application/X-NDJSON; charset=utf-8"));
    // What begins later and is no stream is over before the stream goes on.
    let ordinary = async {
        app.wait_for("select 'so' from backfill.job where state = 'planning'").await;
        let mut ordinary = spelled(
            request(&user, "other", Body::from_stream(stream::pending::<std::io::Result<String>>())),
            "application/json",
        );
        *ordinary.uri_mut() = "/v1/backfills".parse().unwrap();
        assert_eq!(app.answer(ordinary).await.status(), 408);
        // Whether the stream is still there to hear it, its answer says.
        let _ = over.send(());
    };
    let (response, ()) = tokio::join!(stream, ordinary);
    let (status, job) = json_of(response).await;
    assert_eq!((status, &job["progress"]["total"]), (201, &json!(2 * CHUNK)), "{job}");
}
