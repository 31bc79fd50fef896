//! After a failover: a database that takes no changes, and processes that read switches and relays on lost connections.

use std::time::{Duration, Instant};

use halfhour::kernel::operations::switches::Switch;
use halfhour::kernel::problem::Code;
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{PATIENCE, Stage, body, open_all};
use crate::support::{TestApp, context, line};

#[tokio::test]
async fn a_database_that_takes_no_changes_is_unavailable_and_its_connections_are_replaced() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let name = app.superuser.get_database().unwrap().to_owned();
    app.tell(&format!("alter database {name} set default_transaction_read_only = on")).await;
    for _ in 0..3 {
        let reply = app.post_buckets(&device.token, &body("m")).await;
        let problem = reply.expect_problem(503, "database_unavailable");
        assert_eq!(problem["fault"], "dependency");
        assert!(problem["detail"].as_str().unwrap().contains("takes no changes"), "{problem}");
        assert!(!reply.header("retry-after").is_empty());
        let line = line(reply.header("x-request-id"));
        assert_eq!((&line["upstream_status"], &line["attribution"]), (&json!(503), &json!("UPSTREAM")), "{line}");
        app.get(&user.viewer, "/v1/rollups").await.expect_ok();
    }
    // Connections that are open keep what they were opened with, so that only new ones can write again.
    let mut server = PgConnection::connect_with(&app.superuser.clone().database("postgres")).await.unwrap();
    let reset = format!("alter database {name} reset default_transaction_read_only");
    server.execute(sqlx::raw_sql(AssertSqlSafe(reset))).await.unwrap();
    app.post_buckets(&device.token, &body("m")).await.expect_ok();
}

#[tokio::test]
async fn switches_are_read_again_after_their_connections_fell_silent() {
    let stage = Stage::set().await;
    for _ in 0..2 {
        stage.proxy.lose_connections_of("control");
        let started = Instant::now();
        let mut failed = 0;
        while let Err(problem) = stage.server.switchboard().refresh().await {
            assert!(matches!(problem.code(), Code::DatabaseUnavailable | Code::DeadlineExceeded), "{problem:?}");
            failed += 1;
            assert!(failed <= 2, "more than there are connections");
        }
        assert!(started.elapsed() < Duration::from_secs(2) + PATIENCE, "{:?}", started.elapsed());
        stage.recovery(async |stage| stage.health("/health/ready").await).await;
    }
    assert!(stage.server.switches().is_on(Switch::Ingest));
}

#[tokio::test]
async fn jobs_that_hold_all_their_connections_keep_nobody_from_reading_the_switches() {
    let app = TestApp::start().await;
    let pool = &app.pools.worker;
    let context = context();
    let busy = open_all(pool, &context).await;
    app.refresh_switches().await;
    let readers = open_all(&app.pools.read, &context).await;
    app.request(Method::GET, "/health/ready").send().await.expect_ok();
    for tx in busy.into_iter().chain(readers) {
        tx.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn a_relay_whose_connection_fell_silent_folds_on_another_one() {
    let stage = Stage::set().await;
    stage.server.relay().run_round().await.unwrap();
    stage.post("more").await.expect_ok();
    stage.proxy.lose_connections_of("worker");
    let started = Instant::now();
    let problem = stage.server.relay().run_round().await.unwrap_err();
    assert_eq!(problem.code(), Code::DatabaseUnavailable);
    assert!(started.elapsed() < Duration::from_secs(1) + PATIENCE, "{:?}", started.elapsed());
    stage.server.relay().drain().await.unwrap();
    let folded = stage.read().await;
    assert_eq!(folded.expect_ok()["totals"]["input_tokens"], 14, "{}", folded.json);
    assert_eq!(stage.app.ask("select count(*)::text from usage.outbox").await, ["0"]);
}
