//! Drift that was planted by hand is found, every single one, and a replay heals it.

use std::sync::Arc;
use std::time::Duration;

use halfhour::features::backfill::{Findings, Verify, Worker};
use halfhour::kernel::operations::switches::Switch;
use halfhour::kernel::problem::{Code, Problem};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::rollups::{Usage, half_hours};
use crate::support::{TestApp, TestUser};

#[tokio::test]
async fn fifty_planted_drifts_are_found_and_a_replay_heals_them_all_but_what_is_past_retention() {
    let app = TestApp::start().await;
    let user = app.user("ann", "Asia/Kathmandu").await;
    let device = app.device(&user, "laptop").await;
    let hours = half_hours("2026-10-01T00:00:00Z", "2026-11-20T00:00:00Z").step_by(12);
    let usage: Vec<Usage> = hours.zip(1..).map(|(hour, number)| Usage::numbered(hour, number)).collect();
    app.post_usage(&device, &usage).await;
    app.drain().await;
    let whole = app.rollups_checksum().await;
    let order = |action: &str| json!({"action": action, "reason": "drift", "from": "2026-10-01", "to": "2026-11-20"});
    let clean = app.planned(&user.operator, &order("verify")).await;
    let clean = app.executed(&user.operator, &clean).await;
    assert_eq!((&clean["state"], &clean["drift"]["count"]), (&json!("succeeded"), &json!(0)), "{clean}");

    // One a day, on fifty days: changed, missing and extra rows by turns.
    let days = app.ask("select distinct day::text from rollup.daily order by 1").await;
    assert!(days.len() >= 50, "{days:?}");
    for (place, day) in days.iter().take(50).enumerate() {
        let one = format!("ctid = (select min(ctid) from rollup.daily where day = '{day}')");
        app.tell(&match place % 3 {
            0 => format!("update rollup.daily set request_count = request_count + 1 where {one}"),
            1 => format!("delete from rollup.daily where {one}"),
            _ => format!(
                "insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
                     cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens,
                     unclassified_tokens, request_count, bucket_count)
                 select user_id, day, device_id, 'other', 'planted', 1, 0, 0, 0, 0, 0, 0, 0, 1
                 from rollup.daily where {one}"
            ),
        })
        .await;
    }
    let verify = async || {
        let job = app.planned(&user.operator, &order("verify")).await;
        app.executed(&user.operator, &job).await["drift"].clone()
    };
    let found = verify().await;
    assert_eq!((&found["count"], found["first"].as_array().unwrap().len()), (&json!(50), 50), "{found}");

    let replay = app.planned(&user.operator, &order("replay")).await;
    let replay = app.executed(&user.operator, &replay).await;
    assert_eq!((&replay["state"], &replay["failure"]), (&json!("succeeded"), &json!(null)), "{replay}");
    assert_eq!(verify().await["count"], 0);
    assert_eq!(app.rollups_checksum().await, whole);

    // Before the horizon there are sums without buckets: a replay leaves them alone.
    app.tell("delete from usage.bucket where hour_start < '2026-10-09T18:15:00Z'").await;
    app.tell("update rollup.user_state set frozen_before = '2026-10-10'").await;
    let replay = app.planned(&user.operator, &order("replay")).await;
    assert_eq!(app.executed(&user.operator, &replay).await["state"], "succeeded");
    assert_eq!(app.rollups_checksum().await, whole);
}

/// A verification of so many users, under way.
async fn verifying(users: usize) -> (TestApp, TestUser, Value) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    for number in 1..users {
        app.user(&format!("user {number}"), "UTC").await;
    }
    app.switches().set(Switch::Backfill, true);
    let job = started(&app, &user, "2026-11-20").await;
    (app, user, job)
}

async fn started(app: &TestApp, user: &TestUser, to: &str) -> Value {
    let order = json!({"action": "verify", "reason": "drift", "from": "2026-11-01", "to": to});
    let job = app.planned(&user.operator, &order).await;
    app.tell_job(&user.operator, &job, "execute").await.expect_ok().clone()
}

/// A worker that compares in a way of its own.
fn worker(app: &TestApp, verify: Verify) -> Worker {
    Worker::new(app.backfills(), app.switches().clone(), app.signal().clone(), verify)
}

#[tokio::test]
async fn users_who_cannot_be_compared_are_stepped_over_and_listed_and_their_job_is_incomplete() {
    let (app, user, job) = verifying(3).await;
    let broken = app.ask("select user_id::text from account.user order by user_id offset 1 limit 1").await.remove(0);
    app.tell(&format!("update account.user set time_zone = 'Mars/Olympus' where user_id = '{broken}'")).await;
    assert!(app.backfill_worker().run_step().await.unwrap());
    assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 1, "one user a step");
    app.work().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["failure"]), (&json!("failed"), &json!("incomplete")), "{done}");
    assert_eq!((&done["progress"]["done"], &done["drift"]["not_compared"]), (&json!(3), &json!(1)), "{done}");
    let listed = json!([{"user_id": broken, "code": "refused_22023"}]);
    assert_eq!(done["drift"]["not_compared_users"], listed);

    app.tell("update account.user set time_zone = 'UTC'").await;
    let again = started(&app, &user, "2026-11-20").await;
    app.work().await;
    let done = app.job(&user.operator, &again).await;
    assert_eq!((&done["state"], &done["drift"]["not_compared"]), (&json!("succeeded"), &json!(0)), "{done}");
}

#[tokio::test]
async fn users_who_each_take_a_third_of_a_lease_are_all_compared() {
    let (app, user, job) = verifying(4).await;
    let app = Arc::new(app);
    let verify = Verify::new({
        let app = app.clone();
        move |_user, _days| {
            let app = app.clone();
            Box::pin(async move {
                app.tell("update backfill.job set lease_until = lease_until - interval '7 seconds'").await;
                Ok(Findings { user_days: 1, ..Findings::default() })
            })
        }
    });
    let worker = worker(&app, verify);
    let ended = tokio::time::timeout(Duration::from_secs(10), worker.run_until_idle()).await;
    ended.expect("it compares the same users for ever").unwrap();
    let done = app.job(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["drift"]["user_days"]), (&json!("succeeded"), &json!(4)), "{done}");
}

#[tokio::test]
async fn a_verification_whose_comparisons_fail_is_cancelled_within_a_step_and_keeps_nobody_from_working() {
    let (app, user, job) = verifying(1).await;
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let days = job["to"].clone();
    let verify = Verify::new(move |_user, window| {
        let fails = json!(window.last) == days;
        let _ = failed.send(fails);
        Box::pin(async move {
            let away = Problem::new(Code::DatabaseUnavailable, "The database did not answer.");
            if fails { Err(away) } else { Ok(Findings::default()) }
        })
    });
    let (worker, stop) = (worker(&app, verify), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(stop).await }
    });
    assert_eq!(failures.recv().await, Some(true));
    let newer = started(&app, &user, "2026-11-19").await;
    let cancelled = app.tell_job(&user.operator, &job, "cancel").await.expect_ok().clone();
    assert_eq!((&cancelled["state"], &cancelled["progress"]["done"]), (&json!("cancelled"), &json!(0)));
    let next = async { while failures.recv().await != Some(false) {} };
    tokio::time::timeout(Duration::from_secs(10), next).await.expect("it never comes to the newer job");
    let state = format!("select state from backfill.job where job_id = {} and state = 'succeeded'", newer["id"]);
    app.wait_for(&state.replace('"', "'")).await;
    stop.cancel();
    running.await.unwrap();
}
