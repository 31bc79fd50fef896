//! Jobs that touch the same buckets at the same time, or one after the other.

use serde_json::{Value, json};

use super::{bucket, import};
use crate::support::{TestApp, TestDevice, TestUser};

const HOUR: &str = "2026-11-20T10:30:00Z";

/// A user with 700 buckets, posted by a tracker without stamps, and folded.
async fn tracked() -> (TestApp, TestUser, TestDevice) {
    let app = TestApp::start().await;
    let user = app.user("ann", "Asia/Kathmandu").await;
    let device = app.device(&user, "laptop").await;
    for part in [0..500, 500..700] {
        let buckets: Vec<Value> = part.map(|at| posted(at, 5)).collect();
        app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
    }
    app.drain().await;
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    (app, user, device)
}

fn posted(at: usize, input_tokens: usize) -> Value {
    json!({"hour_start": HOUR, "source": "codex", "model": format!("m{at:03}"), "input_tokens": input_tokens})
}

/// A plan that sets all of them.
async fn plan(app: &TestApp, user: &TestUser, device: &TestDevice, input_tokens: u64) -> Value {
    let all = (0..700).map(|at| bucket(user, device, HOUR, &format!("m{at:03}"), input_tokens));
    app.planned(&user.operator, &import(&all.collect::<Vec<_>>())).await
}

#[tokio::test]
async fn a_job_on_top_that_was_cancelled_midway_and_the_one_below_lead_back_to_the_very_original() {
    let (app, user, device) = tracked().await;
    let original = (app.buckets_checksum().await, app.rollups_checksum().await);
    let below = plan(&app, &user, &device, 8).await;
    let below = app.executed(&user.operator, &below).await;
    let between = (app.buckets_checksum().await, app.rollups_checksum().await);

    let on_top = plan(&app, &user, &device, 2).await;
    let on_top = app.tell_job(&user.operator, &on_top, "execute").await.expect_ok().clone();
    assert!(app.backfill_worker().run_step().await.unwrap());
    let refused = app.tell_job(&user.operator, &below, "rollback").await;
    let problem = refused.expect_problem(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains(on_top["id"].as_str().unwrap()), "{problem}");
    let cancelled = app.tell_job(&user.operator, &on_top, "cancel").await.expect_ok().clone();
    assert_eq!((&cancelled["state"], &cancelled["progress"]["done"]), (&json!("cancelled"), &json!(500)));
    app.drain().await;
    let refused = app.tell_job(&user.operator, &below, "rollback").await;
    refused.expect_problem(409, "conflict");

    let back = app.rolled_back(&user.operator, &cancelled).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!((app.buckets_checksum().await, app.rollups_checksum().await), between);
    let back = app.rolled_back(&user.operator, &below).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!((app.buckets_checksum().await, app.rollups_checksum().await), original);
}

#[tokio::test]
async fn a_rollback_that_a_newer_job_overtakes_keeps_its_rows_and_a_second_one_restores_them() {
    let (app, user, device) = tracked().await;
    let original = (app.buckets_checksum().await, app.rollups_checksum().await);
    let below = plan(&app, &user, &device, 8).await;
    let below = app.executed(&user.operator, &below).await;
    let on_top = plan(&app, &user, &device, 2).await;
    app.tell_job(&user.operator, &on_top, "execute").await.expect_ok();
    // Nothing of the newer one is written yet, so that the older one may go back; but the newer one's step comes first.
    app.tell_job(&user.operator, &below, "rollback").await.expect_ok();
    app.tell("update backfill.job set lease_until = now() + interval '1 minute', lease_token = gen_random_uuid() where state = 'rolling_back'").await;
    assert!(app.backfill_worker().run_step().await.unwrap());
    app.tell("update backfill.job set lease_until = null, lease_token = null where state = 'rolling_back'").await;
    app.work_and_fold().await;
    let (below, on_top) = (app.job(&user.operator, &below).await, app.job(&user.operator, &on_top).await);
    assert_eq!(
        (&below["state"], &on_top["state"], &on_top["skipped"]),
        (&json!("rolled_back"), &json!("failed"), &json!(200))
    );
    let kept = "select count(*) || ' ' || min(model) || ' ' || max(model) from backfill.exception where kind = 'kept'";
    assert_eq!(app.ask(kept).await, ["500 m000 m499"], "what the newer one had taken over");

    let back = app.rolled_back(&user.operator, &on_top).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    let back = app.rolled_back(&user.operator, &below).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!((app.buckets_checksum().await, app.rollups_checksum().await), original);
}

#[tokio::test]
async fn unstamped_posts_wait_under_two_corrections_for_the_older_ones_rollback() {
    let (app, user, device) = tracked().await;
    let below = plan(&app, &user, &device, 8).await;
    let below = app.executed(&user.operator, &below).await;
    app.clock.set(crate::support::instant("2026-11-20T12:00:10Z"));
    let on_top = plan(&app, &user, &device, 2).await;
    let on_top = app.executed(&user.operator, &on_top).await;
    app.clock.set(crate::support::instant("2026-11-20T12:00:20Z"));
    // Two arrivals: the later one is the truth. A stamped one from between the corrections beats only the older.
    let mut between = posted(2, 30);
    between["observed_at"] = json!("2026-11-20T12:00:05Z");
    for (buckets, verdicts) in [
        (json!([posted(0, 10), posted(1, 11)]), json!(["corrected", "corrected"])),
        (json!([posted(0, 12), posted(1, 2), between]), json!(["corrected", "unchanged", "stale"])),
    ] {
        let reply = app.post_buckets(&device.token, &json!({ "buckets": buckets })).await;
        assert_eq!(reply.expect_ok()["verdicts"], verdicts);
    }
    let says = async || {
        app.ask("select input_tokens || ' ' || stamped from usage.bucket where model < 'm004' order by model").await
    };
    assert_eq!(says().await, ["2 true", "2 true", "2 true", "2 true"]);
    app.rolled_back(&user.operator, &on_top).await;
    assert_eq!(says().await, ["8 true", "8 true", "30 true", "8 true"]);
    let back = app.rolled_back(&user.operator, &below).await;
    assert_eq!(says().await, ["12 false", "2 false", "30 true", "5 false"]);
    let kept: Vec<&str> =
        back["kept_on_rollback"].as_array().unwrap().iter().map(|kept| kept["model"].as_str().unwrap()).collect();
    assert_eq!(kept, ["m002"], "that is the tracker's");
}
