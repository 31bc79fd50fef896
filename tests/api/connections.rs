//! Connections to the database are lost while nobody uses them, and while somebody does; or they say nothing any more.

use futures_util::future::{join_all, try_join_all};
use halfhour::kernel::database::{Access, Mode};
use serde_json::json;

use crate::support::{Proxy, TestApp, context, line};

#[tokio::test]
async fn connections_that_were_lost_while_nobody_used_them_are_replaced_and_no_reader_sees_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let pool = &app.pools.read;
    for _ in 0..3 {
        // As many as there may be, and all of them free again.
        let context = context();
        let all = (0..pool.max_connections()).map(|_| pool.begin(&context, Access::NOBODY, Mode::ReadWrite));
        for open in try_join_all(all).await.unwrap() {
            open.rollback().await.unwrap();
        }
        assert_eq!((pool.load().open, pool.load().in_use), (pool.max_connections(), 0));
        app.cut_connections("read").await;
        let reply = app.get(&user.viewer, "/v1/rollups").await;
        reply.expect_ok();
        let line = line(reply.header("x-request-id"));
        assert_eq!((&line["upstream_status"], &line["attribution"]), (&json!(200), &json!("NONE")), "{line}");
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_in_the_middle_of_a_read_is_a_503_and_nothing_else_is() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let reader = async || {
        let mut answered = 0;
        for _ in 0..50 {
            let reply = app.get(&user.viewer, "/v1/rollups").await;
            match reply.status {
                200 => answered += 1,
                _ => drop(reply.expect_problem(503, "database_unavailable")),
            }
        }
        answered
    };
    let breaker = async {
        for _ in 0..20 {
            app.cut_connections("read").await;
        }
    };
    let (answered, ()) = tokio::join!(join_all((0..4).map(|_| reader())), breaker);
    assert!(answered.iter().sum::<i32>() > 20, "hardly anything was answered: {answered:?}");
    app.get(&user.viewer, "/v1/rollups").await.expect_ok();
    assert_eq!(app.pools.read.load().in_use, 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_any_more_is_given_up_long_before_the_deadline() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let proxy = Proxy::before_database_of(&app);
    let server = app.second_server_through(&proxy).await;
    server.get(&user.viewer, "/v1/rollups").await.expect_ok();

    proxy.mute(true);
    let reply = server.get(&user.viewer, "/v1/rollups").await;
    reply.expect_problem(503, "database_unavailable");
    assert_eq!(line(reply.header("x-request-id"))["attribution"], "UPSTREAM");
    proxy.mute(false);
    server.get(&user.viewer, "/v1/rollups").await.expect_ok();
}
