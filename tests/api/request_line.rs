//! One line a request says who failed: the client, the server or the database. Every error is a problem.

use std::time::Duration;

use halfhour::kernel::database::{Access, Mode};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::support::{LINE_FIELDS, Reply, TestApp, context, line, wait_for_line};

fn line_of(reply: &Reply) -> Value {
    let line = line(reply.header("x-request-id"));
    for field in LINE_FIELDS {
        assert!(line.get(field).is_some(), "{field} is missing in {line}");
    }
    line
}

#[track_caller]
fn assert_line(line: &Value, expected: &Value) {
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&line[field], value, "{field} in {line}");
    }
}

#[tokio::test]
async fn a_success_names_its_function_its_caller_and_what_the_database_said() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let id = Uuid::now_v7().to_string();
    let request = app.request(Method::GET, "/v1/rollups").bearer(&user.viewer);
    let reply = request.header("x-request-id", &id).header("traceparent", trace).send().await;
    reply.expect_ok();
    assert_eq!(reply.header("x-request-id"), id);
    assert_eq!(reply.header("cache-control"), "private, no-cache");
    let line = line_of(&reply);
    assert_line(
        &line,
        &json!({
            "function": "get_rollups", "stage": "request", "method": "GET", "route": "/v1/rollups", "status": 200,
            "error_code": null, "fault": null, "upstream_status": 200, "upstream_evidence": null, "error": null,
            "attribution": "NONE", "retries": 0, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        }),
    );
    assert_eq!(line["principal"]["kind"], "viewer");
    assert!(line["latency_ms"].as_f64() >= line["upstream_latency_ms"].as_f64(), "{line}");
}

#[tokio::test]
async fn a_request_id_that_is_no_uuid_is_replaced_and_never_echoed() {
    let app = TestApp::start().await;
    for bad in ["", "1", "not-a-uuid", "../../etc"] {
        let reply = app.request(Method::GET, "/health/live").header("x-request-id", bad).send().await;
        assert!(Uuid::try_parse(reply.header("x-request-id")).is_ok_and(|id| id.get_version_num() == 7), "{bad}");
    }
}

#[tokio::test]
async fn a_request_that_never_asked_the_database_leaves_its_upstream_unknown() {
    let app = TestApp::start().await;
    let live = line_of(&app.request(Method::GET, "/health/live").send().await);
    assert_line(
        &live,
        &json!({"status": 200, "upstream_status": null, "upstream_latency_ms": null, "attribution": "UNKNOWN"}),
    );

    let reply = app.get("hhv_forged", "/v1/rollups").await;
    reply.expect_problem(401, "unauthorized");
    let expected = json!({"status": 401, "error_code": "unauthorized", "fault": "client", "upstream_status": null, "principal": null});
    assert_line(&line_of(&reply), &expected);
}

#[tokio::test]
async fn a_client_error_is_the_clients_fault_though_the_database_was_well() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let reply = app.get(&user.viewer, "/v1/rollups?from=yesterday").await;
    reply.expect_problem(422, "invalid");
    let expected = json!({
        "status": 422, "error_code": "invalid", "fault": "client", "upstream_status": 200, "attribution": "APPLICATION",
    });
    assert_line(&line_of(&reply), &expected);
}

#[tokio::test]
async fn a_database_error_is_the_databases_and_its_text_stays_inside() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    app.admin.execute(sqlx::raw_sql("alter table rollup.user_state rename to elsewhere")).await.unwrap();
    let reply = app.get(&user.viewer, "/v1/rollups").await;
    let problem = reply.expect_problem(500, "internal");
    assert!(!problem.to_string().contains("user_state"), "{problem}");
    let line = line_of(&reply);
    assert_line(&line, &json!({"status": 500, "fault": "server", "upstream_status": 500, "attribution": "UPSTREAM"}));
    assert!(line["error"].as_str().unwrap().contains("user_state"), "the log keeps the cause: {line}");
}

#[tokio::test]
async fn a_read_that_fails_keeps_its_connection_and_is_known_by_what_it_failed_with() {
    let app = TestApp::start_with(|settings| settings.pool_sizes.read = 1).await;
    let user = app.user("ann", "UTC").await;
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
    let connections = "select pid::text from pg_stat_activity
        where datname = current_database() and application_name = 'halfhour read'";
    let before = app.ask(connections).await;
    // The first statement of the read fails, and then a later one.
    for (breaks, mends) in [
        ("alter table rollup.user_state rename to elsewhere", "alter table rollup.elsewhere rename to user_state"),
        ("revoke select on rollup.daily from halfhour_api", "grant select on rollup.daily to halfhour_api"),
    ] {
        app.tell(breaks).await;
        let reply = app.get(&user.viewer, "/v1/rollups").await;
        reply.expect_problem(500, "internal");
        let expected = json!({"status": 500, "upstream_status": 500, "attribution": "UPSTREAM"});
        assert_line(&line_of(&reply), &expected);
        app.tell(mends).await;
        app.get(&user.viewer, "/v1/rollups").await.expect_ok();
        assert_eq!(app.ask(connections).await, before, "{breaks}");
    }
    let load = app.pools.read.load();
    assert_eq!((load.open, load.in_use), (1, 0));
}

#[tokio::test]
async fn a_rollback_hides_no_failure_before_it_and_is_heard_where_it_fails_itself() {
    let app = TestApp::start().await;
    let context = context();
    let begin = async || app.pools.worker.begin(&context, Access::Worker, Mode::ReadWrite).await.unwrap();
    let status = || context.upstream.answers().status;
    let divides = || sqlx::raw_sql("select 1 / 0");

    let mut tx = begin().await;
    tx.execute(divides()).await.unwrap_err();
    let waited = context.upstream.answers().latency;
    tx.rollback().await.unwrap();
    assert_eq!(status(), Some(400));
    assert!(context.upstream.answers().latency > waited, "it was waited for");

    let mut tx = begin().await;
    assert_eq!(status(), Some(200), "what is begun again is known by its own answers");
    tx.savepoint().await.unwrap();
    tx.execute(divides()).await.unwrap_err();
    tx.rollback_to_savepoint().await.unwrap();
    assert_eq!(status(), Some(400));
    tx.commit().await.unwrap();
    assert_eq!(status(), Some(200));

    let mut tx = begin().await;
    let backend: i32 = tx.fetch_one(sqlx::raw_sql("select pg_backend_pid()")).await.unwrap().get(0);
    tx.execute(divides()).await.unwrap_err();
    app.tell(&format!("select pg_terminate_backend({backend}, 5000)")).await;
    tx.rollback().await.unwrap_err();
    assert_eq!(status(), Some(503));
}

#[tokio::test]
async fn a_database_that_overruns_the_deadline_is_a_504_and_its_pool_serves_on() {
    let app = TestApp::start_with(|settings| settings.request_deadline = Duration::from_millis(600)).await;
    let user = app.user("ann", "UTC").await;
    let mut blocker = PgConnection::connect_with(&app.superuser).await.unwrap();
    blocker.execute(sqlx::raw_sql("begin; lock table rollup.daily in access exclusive mode")).await.unwrap();
    let replies = futures_util::future::join_all((0..8).map(|_| app.get(&user.viewer, "/v1/rollups"))).await;
    let mut seen = Vec::new();
    for reply in &replies {
        let line = line_of(reply);
        seen.push((
            reply.status,
            line["error_code"].clone(),
            line["upstream_status"].clone(),
            line["upstream_evidence"].clone(),
        ));
    }
    let overrun = (504, json!("deadline_exceeded"), json!(504), Value::Null);
    assert!(seen.iter().filter(|line| **line == overrun).count() >= 4, "{seen:?}");
    assert!(seen.iter().all(|(status, ..)| matches!(status, 503 | 504)), "{seen:?}");
    blocker.execute(sqlx::raw_sql("rollback")).await.unwrap();
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
}

#[tokio::test]
async fn a_full_pool_is_no_answer_of_the_database() {
    let app = TestApp::start_with(|settings| settings.pool_sizes.read = 1).await;
    let user = app.user("ann", "UTC").await;
    let held = app.pools.read.connections().acquire().await.unwrap();
    let tx = app.pools.read.clone();
    drop(held);
    // A transaction of the application's own holds the only connection.
    let open = tx.begin(&context(), Access::NOBODY, Mode::ReadWrite).await.unwrap();
    let reply = app.get(&user.viewer, "/v1/rollups").await;
    reply.expect_problem(503, "overloaded");
    assert_eq!(reply.header("retry-after"), "1");
    let expected = json!({"upstream_status": null, "upstream_evidence": "pool_exhausted", "attribution": "UNKNOWN"});
    assert_line(&line_of(&reply), &expected);
    open.rollback().await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_gone_is_a_503_and_liveness_stays_up() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let name = app.superuser.get_database().unwrap().to_owned();
    let mut server = PgConnection::connect_with(&app.superuser.clone().database("postgres")).await.unwrap();
    let refuse = format!(
        "alter database {name} allow_connections false;
         select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    );
    server.execute(sqlx::raw_sql(AssertSqlSafe(refuse))).await.unwrap();

    let reply = app.get(&user.viewer, "/v1/rollups").await;
    assert_eq!(reply.json["fault"], "dependency", "{}", reply.json);
    assert_eq!(reply.status, 503, "{}", reply.json);
    assert!(!reply.header("retry-after").is_empty());
    assert_eq!(line_of(&reply)["attribution"], "UPSTREAM");
    app.request(Method::GET, "/health/ready").send().await.expect_problem(503, "database_unavailable");
    assert_eq!(app.request(Method::GET, "/health/live").send().await.status, 200);

    server
        .execute(sqlx::raw_sql(AssertSqlSafe(format!("alter database {name} allow_connections true"))))
        .await
        .unwrap();
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
}

#[tokio::test]
async fn a_client_that_hangs_up_still_leaves_a_line() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let mut blocker = PgConnection::connect_with(&app.superuser).await.unwrap();
    blocker.execute(sqlx::raw_sql("begin; lock table rollup.daily in access exclusive mode")).await.unwrap();
    let id = Uuid::now_v7().to_string();
    let request = app.request(Method::GET, "/v1/rollups").bearer(&user.viewer).header("x-request-id", &id);
    let impatient = tokio::time::timeout(Duration::from_millis(300), request.try_send()).await;
    assert!(impatient.is_err(), "the reply should still be waiting for the lock");
    let line = wait_for_line(&id).await;
    assert_line(&line, &json!({"status": 499, "error_code": "client_disconnected", "fault": "client"}));
    blocker.close().await.unwrap();
}

#[tokio::test]
async fn every_layer_answers_with_a_problem() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let post = || app.request(Method::POST, "/v1/buckets").bearer(&device.token);

    app.request(Method::GET, "/nowhere").send().await.expect_problem(404, "not_found");
    let reply = app.request(Method::DELETE, "/health/live").send().await;
    reply.expect_problem(405, "method_not_allowed");
    assert!(reply.header("allow").contains("GET"), "{:?}", reply.headers);
    post().body("{}").send().await.expect_problem(415, "unsupported_media_type");
    let encoded = post().header("content-type", "application/json").header("content-encoding", "br").body("{}");
    encoded.send().await.expect_problem(415, "unsupported_media_type");
    let large = post().header("content-type", "application/json").body(vec![b' '; 1024 * 1024 + 1]);
    large.send().await.expect_problem(413, "batch_too_large");
    post().header("content-type", "application/json").body("{").send().await.expect_problem(400, "malformed");

    let reply = app.request(Method::GET, "/v1/rollups").send().await;
    reply.expect_problem(401, "unauthorized");
    assert!(reply.header("www-authenticate").starts_with("Bearer"));
    app.get(&device.token, "/v1/rollups").await.expect_problem(403, "wrong_principal");
    app.post_buckets(&user.viewer, &json!({"buckets": []})).await.expect_problem(403, "wrong_principal");
    app.post_buckets(&user.operator, &json!({"buckets": []})).await.expect_problem(403, "wrong_principal");
}

#[tokio::test]
async fn a_token_that_calls_too_often_is_told_when_to_come_back_and_others_are_not() {
    let app = TestApp::start_with(|settings| settings.limits.viewer = 3).await;
    let (ann, bob) = (app.user("ann", "UTC").await, app.user("bob", "UTC").await);
    for _ in 0..3 {
        app.get(&ann.viewer, "/v1/rollups").await.expect_ok();
    }
    let reply = app.get(&ann.viewer, "/v1/rollups").await;
    reply.expect_problem(429, "rate_limited");
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
    app.get(&bob.viewer, "/v1/rollups").await.expect_ok();
}
