//! What is kept of jobs, how long, and that nothing is half gone.

use serde_json::{Value, json};

use super::{bucket, import};
use crate::relay::{WAITING, hold};
use crate::support::{TestApp, TestDevice, TestUser, context};

const HOUR: &str = "2026-11-20T10:30:00Z";

/// A correction of one bucket, executed.
async fn corrected() -> (TestApp, TestUser, TestDevice, Value) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let body = json!({"buckets": [{"hour_start": HOUR, "source": "codex", "model": "gpt", "input_tokens": 5}]});
    app.post_buckets(&device.token, &body).await.expect_ok();
    app.drain().await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 1)])).await;
    let done = app.executed(&user.operator, &job).await;
    (app, user, device, done)
}

#[tokio::test]
async fn a_rollback_that_begins_just_before_the_purge_keeps_what_it_restores_from() {
    let (app, user, _device, done) = corrected().await;
    app.tell("update backfill.job set finished_at = now() - interval '31 days'").await;
    let mut blocker = hold(&app, "select from backfill.job for update").await;
    let purging = async {
        app.wait_for(WAITING).await;
        let release = async {
            app.wait_for(&format!("select 'both' from ({WAITING}) waiting having count(*) = 2")).await;
            sqlx::Executor::execute(&mut blocker, sqlx::raw_sql("rollback")).await.unwrap();
        };
        tokio::join!(async { app.backfills().purge(&context()).await.unwrap() }, release)
    };
    let (told, _) = tokio::join!(app.tell_job(&user.operator, &done, "rollback"), purging);
    told.expect_ok();
    app.work_and_fold().await;
    let back = app.job(&user.operator, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(app.ask("select input_tokens::text from usage.bucket").await, ["5"], "it is not lost");
}

#[tokio::test]
async fn a_plan_that_nobody_carries_out_within_30_days_expires_with_its_rows() {
    let (app, user, device, _done) = corrected().await;
    let plan = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 3)])).await;
    let cancelled = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 4)])).await;
    let cancelled = app.tell_job(&user.operator, &cancelled, "cancel").await.expect_ok().clone();
    let after = async |days: u32| {
        app.tell(&format!(
            "update backfill.job set created_at = now() - interval '{days} days' where executed_at is null"
        ))
        .await;
        app.backfills().purge(&context()).await.unwrap();
        app.job(&user.operator, &plan).await
    };
    assert_eq!(after(29).await["state"], "planned");
    assert_eq!(app.job_list(&user.operator, &plan, "rows").await.len(), 1);
    let expired = after(31).await;
    assert_eq!(
        (&expired["state"], &expired["failure"], &expired["version"]),
        (&json!("failed"), &json!("expired"), &json!(3))
    );
    assert_eq!(app.job_list(&user.operator, &plan, "rows").await.len(), 0);
    for (job, order) in [(&plan, "execute"), (&expired, "execute"), (&expired, "rollback"), (&cancelled, "rollback")] {
        let reply = app.tell_job(&user.operator, job, order).await;
        let (status, code) = if job == &plan { (412, "version_mismatch") } else { (409, "conflict") };
        reply.expect_problem(status, code);
    }
    assert_eq!(app.job_list(&user.operator, &cancelled, "rows").await.len(), 1, "that ended today");
    assert_eq!(app.ask("select count(*)::text from usage.pre_image").await, ["1"], "what others need stays");
}

#[tokio::test]
async fn a_late_snapshot_against_an_old_correction_is_still_answered_and_kept_no_longer_than_the_next_purge() {
    let (app, user, device, done) = corrected().await;
    app.tell("update backfill.job set finished_at = now() - interval '31 days'").await;
    app.backfills().purge(&context()).await.unwrap();
    let body = json!({"buckets": [{"hour_start": HOUR, "source": "codex", "model": "gpt", "input_tokens": 6}]});
    assert_eq!(app.post_buckets(&device.token, &body).await.expect_ok()["verdicts"], json!(["corrected"]));
    let hidden = async || app.ask("select count(*)::text from usage.pre_image").await.remove(0);
    assert_eq!(hidden().await, "1");
    app.backfills().purge(&context()).await.unwrap();
    assert_eq!(hidden().await, "0");
    app.tell_job(&user.operator, &done, "rollback").await.expect_problem(409, "conflict");
    assert_eq!(app.ask("select input_tokens::text from usage.bucket").await, ["1"]);
}

#[tokio::test]
async fn a_correction_past_the_retention_horizon_is_neither_written_nor_taken_back() {
    let (app, user, device, done) = corrected().await;
    let again = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 3)])).await;
    let again = app.tell_job(&user.operator, &again, "execute").await.expect_ok().clone();
    // The horizon is raised first; the buckets behind it go later.
    app.tell(&format!("insert into usage.horizon values ('{}', '2026-11-20T11:00:00Z')", user.user_id)).await;
    app.work_and_fold().await;
    let skipped = app.job(&user.operator, &again).await;
    assert_eq!((&skipped["state"], &skipped["skipped"]), (&json!("failed"), &json!(1)), "{skipped}");
    let back = app.rolled_back(&user.operator, &done).await;
    assert_eq!(
        (&back["state"], back["kept_on_rollback"].as_array().unwrap().len()),
        (&json!("rolled_back"), 1),
        "{back}"
    );
    assert_eq!(app.ask("select input_tokens::text from usage.bucket").await, ["1"], "retention alone touches it");
}
