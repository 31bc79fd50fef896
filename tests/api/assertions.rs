//! Numbers that are wrong do not leave the house. Each is made wrong in the database, behind the product's back.

use halfhour::kernel::database::{Access, Mode};
use halfhour::kernel::problem::{Code, Problem};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::rollups::Usage;
use crate::support::{TestApp, TestUser, context, line};

/// A user with two buckets of one day, one of which says what no bucket may.
async fn tampered(table: &str, tokens: i64) -> (TestApp, TestUser) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T10:30:00Z", 5), Usage::input("2026-11-20T10:30:00Z", 10)]).await;
    app.drain().await;
    app.tell(&format!(
        "do $$ declare name text; begin
             for name in select conname from pg_constraint where conrelid = '{table}'::regclass and contype = 'c' loop
                 execute format('alter table {table} drop constraint %I', name);
             end loop;
         end $$;
         update {table} set input_tokens = {tokens} where input_tokens = 5"
    ))
    .await;
    (app, user)
}

async fn failed(app: &TestApp, user: &TestUser, assertion: &str) -> u64 {
    app.counter(user, &format!("halfhour_assertions_failed_total{{assertion=\"{assertion}\"}}")).await
}

#[tokio::test]
async fn sums_and_parts_that_cannot_be_are_withheld_with_a_code_of_their_own() {
    let whole = "from=2026-11-19&to=2026-11-20";
    for (table, tokens, path, assertion) in [
        // All that is left is less than nothing.
        ("rollup.daily", -50, format!("/v1/rollups?{whole}"), "sums_are_not_negative"),
        ("rollup.daily", -50, format!("/v1/rollups/summary?{whole}"), "sums_are_not_negative"),
        ("rollup.daily", -50, format!("/v1/rollups/heatmap?{whole}"), "sums_are_not_negative"),
        ("usage.bucket", -50, format!("/v1/rollups?{whole}&width=hour"), "sums_are_not_negative"),
        ("usage.bucket", -50, format!("/v1/buckets?{whole}"), "counts_are_not_negative"),
    ] {
        let (app, user) = tampered(table, tokens).await;
        let before = failed(&app, &user, assertion).await;
        let reply = app.get(&user.viewer, &path).await;
        reply.expect_problem(500, "wrong_number");
        assert!(!String::from_utf8_lossy(&reply.body).contains("-50"), "what was found stays inside");
        let line = line(reply.header("x-request-id"));
        assert_eq!((&line["fault"], &line["error_code"]), (&"server".into(), &"wrong_number".into()));
        assert!(line["error"].as_str().unwrap().contains(assertion), "{line}");
        assert!(failed(&app, &user, assertion).await > before, "{assertion}");
    }
}

#[tokio::test]
async fn a_page_that_holds_more_than_the_whole_range_is_withheld() {
    for (table, width) in [("rollup.daily", "day"), ("usage.bucket", "hour")] {
        let (app, user) = tampered(table, 10).await;
        let path = format!("/v1/rollups?from=2026-11-19&to=2026-11-20&width={width}&limit=1");
        assert_eq!(app.get(&user.viewer, &path).await.expect_ok()["totals"]["input_tokens"], 20);
        // Whoever sums the page alone sees nothing wrong.
        app.tell(&format!(
            "update {table} set input_tokens = 30;
             update {table} set input_tokens = 0 where ctid = (select max(ctid) from {table})"
        ))
        .await;
        app.get(&user.viewer, &path).await.expect_ok();
        app.tell(&format!("update {table} set input_tokens = -1 where input_tokens = 0")).await;
        let (first, second) =
            (app.get(&user.viewer, &path).await, app.get(&user.viewer, &path.replace("19", "20")).await);
        let codes = [first, second].map(|reply| reply.json["code"].clone());
        assert!(codes.contains(&"wrong_number".into()), "{table}: {codes:?}");
    }
}

#[tokio::test]
async fn what_is_frozen_stays_frozen_and_versions_only_rise() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    app.post_usage(&app.device(&user, "laptop").await, &[Usage::input("2026-11-20T10:30:00Z", 5)]).await;
    app.drain().await;
    let change = async |sql: &str| -> Result<(), Problem> {
        let mut tx = app.pools.worker.begin(&context(), Access::Worker, Mode::ReadWrite).await?;
        let done = tx.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
        if let Err(error) = done {
            tx.rollback().await?;
            return Err(error.into());
        }
        tx.commit().await
    };
    change("update rollup.user_state set frozen_before = '2026-01-02'").await.unwrap();
    change("update rollup.user_state set frozen_before = '2026-01-02', version = version").await.unwrap();
    change("update rollup.user_state set frozen_before = '2026-01-03', version = version + 1").await.unwrap();
    for fall in ["frozen_before = '2026-01-02'", "frozen_before = null", "version = version - 1"] {
        let problem = change(&format!("update rollup.user_state set {fall}")).await.unwrap_err();
        assert_eq!(problem.code(), Code::WrongNumber, "{fall}: {problem:?}");
    }
    let stands = app.ask("select frozen_before || ' ' || (version > 1) from rollup.user_state").await;
    assert_eq!(stands, ["2026-01-03 true"]);
}
