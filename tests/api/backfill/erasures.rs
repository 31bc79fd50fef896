//! An owner's deletion beside a job: before a step, in the middle of one and after it. What was erased stays erased,
//! whatever the job goes on to do, and whatever its rollback does.

use serde_json::{Value, json};

use super::{bucket, dawdle, import, waits};
use crate::relay::hold;
use crate::support::{TestApp, TestDevice, TestUser};

const HOUR: &str = "2026-11-20T10:30:00Z";
/// Everything there is of usage, and of what corrections hide.
const LEFT: &str =
    "select (select count(*) from usage.bucket) || ' buckets, ' || (select count(*) from usage.pre_image)
    || ' hidden, ' || (select count(*) from rollup.daily) || ' rollup rows'";
const NOTHING: &str = "0 buckets, 0 hidden, 0 rollup rows";

/// A user whose two devices each have as many buckets as a step takes, and a running job that corrects them all.
async fn running() -> (TestApp, TestUser, [TestDevice; 2], Value) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let mut devices = [app.device(&user, "laptop").await, app.device(&user, "phone").await];
    // In the order in which steps come to them.
    devices.sort_by_key(|device| device.device_id);
    let mut corrections = Vec::new();
    for device in &devices {
        let buckets: Vec<Value> = (0..500).map(|at| posted(&format!("m{at:03}"), "2026-11-20T10:40:00Z")).collect();
        app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
        corrections.extend((0..500).map(|at| bucket(&user, device, HOUR, &format!("m{at:03}"), 9)));
    }
    app.drain().await;
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    let job = app.planned(&user.operator, &import(&corrections)).await;
    let job = app.tell_job(&user.operator, &job, "execute").await.expect_ok().clone();
    (app, user, devices, job)
}

fn posted(model: &str, observed_at: &str) -> Value {
    json!({"hour_start": HOUR, "source": "codex", "model": model, "input_tokens": 5, "observed_at": observed_at})
}

/// Carries the job to its end and takes it back; the erasure has left nothing, and nothing comes.
async fn nothing_comes_back(app: &TestApp, user: &TestUser, device: &TestDevice, job: &Value) -> Value {
    app.work_and_fold().await;
    assert_eq!(app.ask(LEFT).await, [NOTHING], "after the execution");
    let job = app.job(&user.operator, job).await;
    let back = app.rolled_back(&user.operator, &job).await;
    assert_eq!(back["state"], "rolled_back", "{back}");
    assert_eq!(app.ask(LEFT).await, [NOTHING], "after the rollback");
    let again = json!({"buckets": [posted("m000", "2026-11-20T10:50:00Z")]});
    assert_eq!(app.post_buckets(&device.token, &again).await.expect_ok()["verdicts"], json!(["erased"]));
    job
}

#[tokio::test]
async fn what_is_erased_before_a_step_is_skipped_and_what_is_erased_after_it_is_not_restored() {
    let (app, user, devices, job) = running().await;
    assert!(app.backfill_worker().run_step().await.unwrap());
    assert_eq!(app.ask("select count(*)::text from usage.pre_image").await, ["500"]);
    for device in &devices {
        let erased = app.erase(&user, &format!("device={}", device.device_id)).await;
        assert_eq!(erased.expect_ok()["buckets"], 500);
    }
    let done = nothing_comes_back(&app, &user, &devices[0], &job).await;
    assert_eq!(
        (&done["state"], &done["failure"], &done["skipped"]),
        (&json!("failed"), &json!("incomplete"), &json!(500))
    );
    let kept = "select count(*) || ' ' || min(device_id::text) || ' ' || max(device_id::text) from backfill.exception where kind = 'kept'";
    let first = devices[0].device_id;
    assert_eq!(app.ask(kept).await, [format!("500 {first} {first}")], "only what the execution had written");
}

#[tokio::test]
async fn an_erasure_waits_for_the_step_under_way_and_takes_what_that_wrote() {
    let (app, user, devices, job) = running().await;
    let blocker = dawdle(&app, "m250").await;
    let erasing = async {
        app.wait_for(&waits("worker", "wait_event = 'PgSleep'")).await;
        let release = async {
            app.wait_for(&waits("read", "wait_event = 'advisory'")).await;
            sqlx::Connection::close(blocker).await.unwrap();
        };
        tokio::join!(app.erase(&user, "everything=true"), release).0
    };
    let (step, erased) = tokio::join!(app.backfill_worker().run_step(), erasing);
    assert!(step.unwrap());
    assert_eq!(erased.expect_ok()["buckets"], 1_000);
    assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 500);
    let done = nothing_comes_back(&app, &user, &devices[0], &job).await;
    assert_eq!(done["skipped"], 500);
}

#[tokio::test]
async fn a_step_beside_an_erasure_does_nothing_but_wait_for_its_end() {
    let (app, user, devices, job) = running().await;
    let blocker = hold(&app, "select from usage.bucket where model = 'm250' for update").await;
    let working = async {
        app.wait_for(&waits("read", "wait_event_type = 'Lock'")).await;
        let worked = tokio::time::timeout(std::time::Duration::from_secs(10), app.work()).await;
        assert!(worked.is_ok(), "it tries again and again, without a pause");
        assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 0);
        sqlx::Connection::close(blocker).await.unwrap();
    };
    let (erased, ()) = tokio::join!(app.erase(&user, "everything=true"), working);
    assert_eq!(erased.expect_ok()["buckets"], 1_000);
    let done = nothing_comes_back(&app, &user, &devices[0], &job).await;
    assert_eq!((&done["skipped"], &done["progress"]["done"]), (&json!(1_000), &json!(1_000)));
}

#[tokio::test]
async fn an_erasure_beside_a_step_of_a_rollback_takes_what_that_restores() {
    let (app, user, devices, job) = running().await;
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    app.tell_job(&user.operator, &done, "rollback").await.expect_ok();
    let blocker = hold(&app, "select from usage.bucket where model = 'm250' for update").await;
    let erasing = async {
        app.wait_for(&waits("worker", "wait_event_type = 'Lock'")).await;
        let release = async {
            app.wait_for(&waits("read", "wait_event_type = 'Lock'")).await;
            sqlx::Connection::close(blocker).await.unwrap();
        };
        tokio::join!(app.erase(&user, "everything=true"), release).0
    };
    let (step, erased) = tokio::join!(app.backfill_worker().run_step(), erasing);
    assert!(step.unwrap());
    assert_eq!(erased.expect_ok()["buckets"], 1_000);
    app.work_and_fold().await;
    assert_eq!(app.ask(LEFT).await, [NOTHING]);
    let back = app.job(&user.operator, &job).await;
    assert_eq!(back["state"], "rolled_back", "{back}");
    let again = json!({"buckets": [posted("m000", "2026-11-20T10:50:00Z")]});
    assert_eq!(app.post_buckets(&devices[1].token, &again).await.expect_ok()["verdicts"], json!(["erased"]));
}

#[tokio::test]
async fn a_new_bucket_that_was_planned_before_an_erasure_is_not_written_by_an_execution_that_began_before_it() {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    let job = app.planned(&user.operator, &import(&[bucket(&user, &device, HOUR, "gpt", 7)])).await;
    let job = app.tell_job(&user.operator, &job, "execute").await.expect_ok().clone();
    app.erase(&user, "everything=true").await.expect_ok();
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["skipped"]), (&json!("failed"), &json!(1)), "{done}");
    assert_eq!(app.job_list(&user.operator, &job, "exceptions").await[0]["code"], "erased");
    assert_eq!(app.ask(LEFT).await, [NOTHING]);
}
