//! Every wait of a transaction ends, whatever it waits for, and its place in the pool is free again.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use halfhour::kernel::call::RequestContext;
use halfhour::kernel::database::{Access, Mode, Tx};
use halfhour::kernel::problem::{Code, Problem};
use sqlx::Executor as _;

use super::{PATIENCE, Stage, expect_blame, open_all};

/// What a transaction may wait for.
const WAITS: [&str; 10] = [
    "statement",
    "row",
    "optional row",
    "rows",
    "savepoint",
    "release",
    "undo",
    "commit",
    "commit without the disk",
    "rollback",
];

async fn wait(mut tx: Tx, what: &str) -> Result<(), Problem> {
    match what {
        "statement" => {
            tx.execute(sqlx::raw_sql("select 1")).await?;
        }
        "row" => drop(tx.fetch_one(sqlx::raw_sql("select 1")).await?),
        "optional row" => drop(tx.fetch_optional(sqlx::raw_sql("select 1")).await?),
        "rows" => drop(tx.fetch(sqlx::raw_sql("select generate_series(1, 9)")).try_collect::<Vec<_>>().await?),
        "savepoint" => tx.savepoint().await?,
        "release" => tx.release_savepoint().await?,
        "undo" => tx.rollback_to_savepoint().await?,
        "commit" => return tx.commit().await,
        "commit without the disk" => return tx.commit_asynchronously().await,
        "rollback" => return tx.rollback().await,
        other => panic!("{other}"),
    }
    // What is asked after a silence is refused at once.
    let started = Instant::now();
    let again = tx.execute(sqlx::raw_sql("select 1")).await;
    assert!(again.is_err() && started.elapsed() < Duration::from_millis(200));
    Ok(())
}

#[tokio::test]
async fn whatever_a_transaction_waits_for_on_a_silent_connection_ends_in_time_and_frees_its_place() {
    let stage = Stage::set().await;
    let pool = &stage.server.pools.worker;
    let limit = Duration::from_secs(1);
    for what in WAITS {
        let context = RequestContext::internal(limit);
        let mut tx = pool.begin(&context, Access::Worker, Mode::ReadWrite).await.unwrap();
        if matches!(what, "release" | "undo") {
            tx.savepoint().await.unwrap();
        }
        stage.proxy.silence(true);
        let started = Instant::now();
        let problem = wait(tx, what).await.unwrap_err();
        stage.proxy.silence(false);
        let waited = started.elapsed();
        assert!(waited < limit + Duration::from_millis(500) + PATIENCE, "{what}: {waited:?}");
        assert!(matches!(problem.code(), Code::DatabaseUnavailable | Code::DeadlineExceeded), "{what}: {problem:?}");
        assert_eq!(context.upstream.answers().status, Some(504), "{what}");
        assert_eq!(pool.load().in_use, 0, "{what}");

        for open in open_all(pool, &crate::support::context()).await {
            open.rollback().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_reply_that_is_cut_anywhere_is_a_503_and_the_next_one_is_whole() {
    let stage = Stage::set().await;
    for bytes in [0, 1, 4, 5, 40, 100, 200, 300] {
        stage.proxy.cut_after(bytes);
        let reply = stage.read().await;
        // What is cut in the opening is begun again on another connection.
        if reply.status != 200 {
            reply.expect_problem(503, "database_unavailable");
            assert_eq!(expect_blame(&reply)["attribution"], "UPSTREAM", "{bytes}");
        }
        stage.recovery(async |stage| stage.read().await).await;
        assert_eq!(stage.server.pools.read.load().in_use, 0, "{bytes}");
    }
}

#[tokio::test]
async fn a_read_on_a_silent_connection_ends_by_its_deadline_and_blames_the_database() {
    let stage = Stage::with_deadline(Duration::from_secs(2)).await;
    let mut held = sqlx::PgPool::connect_with(stage.app.superuser.clone()).await.unwrap().begin().await.unwrap();
    held.execute(sqlx::raw_sql("lock table rollup.user_state in access exclusive mode")).await.unwrap();
    let started = Instant::now();
    let reading = stage.read();
    let silencing = async {
        stage
            .app
            .wait_for(
                "select 'waits' from pg_stat_activity where datname = current_database()
                 and application_name = 'halfhour read' and wait_event_type = 'Lock'",
            )
            .await;
        stage.proxy.lose_connections_of("read");
        held.rollback().await.unwrap();
    };
    let (reply, ()) = tokio::join!(reading, silencing);
    assert!(started.elapsed() < Duration::from_secs(2) + PATIENCE, "{:?}", started.elapsed());
    assert_eq!(expect_blame(&reply)["attribution"], "UPSTREAM");
    assert!(stage.recovery(async |stage| stage.read().await).await < Duration::from_secs(1) + PATIENCE);
}
