//! Connections to the database are lost while nobody uses them, and while somebody does; or they say nothing any more.

use std::path::Path;

use futures_util::future::{join_all, try_join_all};
use halfhour::kernel::db::{Access, Mode};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::support::{TestApp, call, line};

/// Ends every connection through which dashboards are read, all at once, and returns when they are gone.
async fn cut_read_connections(app: &TestApp) {
    app.tell(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity
         where datname = current_database() and application_name = 'halfhour read'",
    )
    .await;
}

#[tokio::test]
async fn connections_that_were_lost_while_nobody_used_them_are_replaced_and_no_reader_sees_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let pool = &app.pools.read;
    for _ in 0..3 {
        // As many as there may be, and all of them free again.
        let call = call();
        let all = (0..pool.max_connections()).map(|_| pool.begin(&call, Access::NOBODY, Mode::ReadWrite));
        for open in try_join_all(all).await.unwrap() {
            open.rollback().await.unwrap();
        }
        assert_eq!((pool.load().open, pool.load().in_use), (pool.max_connections(), 0));
        cut_read_connections(&app).await;
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
            cut_read_connections(&app).await;
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
    let socket = app.superuser.get_socket().unwrap();
    let (mute, muted) = watch::channel(false);
    let directory = muffled(&socket.join(format!(".s.PGSQL.{}", app.superuser.get_port())), muted);
    let server = app.second_server_through(directory.path()).await;
    server.get(&user.viewer, "/v1/rollups").await.expect_ok();

    mute.send(true).unwrap();
    let reply = server.get(&user.viewer, "/v1/rollups").await;
    reply.expect_problem(503, "database_unavailable");
    assert_eq!(line(reply.header("x-request-id"))["attribution"], "UPSTREAM");
    mute.send(false).unwrap();
    server.get(&user.viewer, "/v1/rollups").await.expect_ok();
}

/// A socket in the returned folder that leads to the database's, and passes its answers on only while it is not muted.
fn muffled(socket: &Path, muted: watch::Receiver<bool>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(directory.path().join(socket.file_name().unwrap())).unwrap();
    let database = socket.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (from_client, to_client) = client.into_split();
            let (from_database, to_database) = UnixStream::connect(&database).await.unwrap().into_split();
            tokio::spawn(pass(from_client, to_database, watch::channel(false).1));
            tokio::spawn(pass(from_database, to_client, muted.clone()));
        }
    });
    directory
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut muted: watch::Receiver<bool>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        // Who could mute it may be gone: then it never is again.
        let _ = muted.wait_for(|muted| !muted).await;
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
