//! Merges beside others: posts while they run, two at once, two workers, a worker that is gone in the middle.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::merges::Scene;
use super::{dawdle, waits};

const HOUR: &str = "2026-11-19T10:00:00Z";
const MODELS: usize = 700;

fn used(model: usize, input_tokens: usize, observed_at: &str) -> Value {
    json!({"hour_start": HOUR, "source": "codex", "model": format!("m{model:04}"), "input_tokens": input_tokens,
        "observed_at": observed_at})
}

/// Seven hundred buckets of the old device; every second one of the new device, too, with another count.
async fn large() -> Scene {
    let scene = Scene::empty().await;
    for part in [0..350, 350..MODELS] {
        let stamp = "2026-11-19T11:00:00Z";
        let old: Vec<Value> = part.clone().map(|model| used(model, 5, stamp)).collect();
        let new: Vec<Value> = part.filter(|model| model % 2 == 0).map(|model| used(model, 2, stamp)).collect();
        scene.post(&scene.old, &old).await;
        scene.post(&scene.new, &new).await;
    }
    scene.app.drain().await;
    scene
}

/// How many buckets and tokens each device has.
async fn sums(scene: &Scene) -> Vec<String> {
    let sql = format!(
        "select concat_ws(' ', case device_id when '{}' then 'old' else 'new' end, count(*), sum(input_tokens))
         from usage.bucket group by device_id order by 1",
        scene.old.device_id
    );
    scene.app.ask(&sql).await
}

#[tokio::test]
async fn between_steps_every_pair_is_whole_and_a_cancelled_merge_leads_back_byte_for_byte() {
    let scene = large().await;
    let before = (scene.app.buckets_checksum().await, scene.app.rollups_checksum().await);
    assert_eq!(sums(&scene).await, ["new 350 700", "old 700 3500"]);
    let job = scene.planned("sum").await;
    let running = scene.app.tell_job(&scene.user.viewer, &job, "execute").await.expect_ok().clone();
    assert!(scene.app.backfill_worker().run_step().await.unwrap());
    assert_eq!(sums(&scene).await, ["new 600 3200", "old 200 1000"], "nothing is lost or doubled meanwhile");
    let cancelled = scene.app.tell_job(&scene.user.viewer, &running, "cancel").await.expect_ok().clone();
    assert_eq!((&cancelled["state"], &cancelled["progress"]["done"]), (&json!("cancelled"), &json!(500)));
    let back = scene.app.rolled_back(&scene.user.viewer, &cancelled).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!((scene.app.buckets_checksum().await, scene.app.rollups_checksum().await), before);
}

#[tokio::test]
async fn posts_to_the_new_device_while_it_runs_are_left_to_it_and_their_pairs_listed() {
    let scene = large().await;
    let job = scene.planned("sum").await;
    scene.app.tell_job(&scene.user.viewer, &job, "execute").await.expect_ok();
    // One that the new device has, and one that it does not have yet; both in the second step.
    let newer = "2026-11-19T11:30:00Z";
    scene.post(&scene.new, &[used(600, 3, newer), used(601, 4, newer)]).await;
    scene.app.work_and_fold().await;
    let done = scene.app.job(&scene.user.viewer, &job).await;
    assert_eq!(
        (&done["state"], &done["failure"], &done["skipped"]),
        (&json!("failed"), &json!("incomplete"), &json!(2))
    );
    let listed = scene.app.job_list(&scene.user.viewer, &done, "exceptions").await;
    let listed: Vec<_> =
        listed.iter().map(|it| (&it["bucket"]["model"], &it["bucket"]["device_id"], &it["code"])).collect();
    let (old, moved) = (json!(scene.old.device_id), json!("moved"));
    assert_eq!(listed, [(&json!("m0600"), &old, &moved), (&json!("m0601"), &old, &moved)]);
    assert_eq!(sums(&scene).await, ["new 700 4195", "old 2 10"]);
    scene.assert_folded().await;
    // The way back leaves alone what the execution has left alone.
    let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(sums(&scene).await, ["new 351 705", "old 700 3500"]);
    scene.assert_folded().await;
}

#[tokio::test]
async fn a_bucket_that_comes_while_a_step_writes_is_left_to_its_tracker_and_the_other_stays() {
    let scene = Scene::empty().await;
    scene.post(&scene.old, &[used(1, 5, "2026-11-19T11:00:00Z"), used(2, 6, "2026-11-19T11:00:00Z")]).await;
    scene.app.drain().await;
    let job = scene.planned("sum").await;
    scene.app.tell_job(&scene.user.viewer, &job, "execute").await.expect_ok();
    let insert = format!(
        "insert into usage.bucket values ('{}', '{HOUR}', '{}', 'codex', 'm0002', 9, 0, 0, 0, 0, 0, 0, 0, default,
             '2026-11-19T10:40:00Z', '2026-11-19T10:40:00Z', null, true)",
        scene.user.user_id, scene.new.device_id
    );
    let mut tracker = crate::relay::hold(&scene.app, &insert).await;
    let faster = async {
        scene.app.wait_for(crate::relay::WAITING).await;
        crate::relay::run(&mut tracker, "commit").await;
    };
    let (stepped, ()) = tokio::join!(scene.app.backfill_worker().run_step(), faster);
    assert!(stepped.unwrap());
    scene.app.work_and_fold().await;
    let done = scene.app.job(&scene.user.viewer, &job).await;
    assert_eq!((&done["state"], &done["skipped"]), (&json!("failed"), &json!(1)), "{done}");
    assert_eq!(sums(&scene).await, ["new 2 14", "old 1 6"]);
    let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!(back["kept_on_rollback"], json!([]), "{back}");
    assert_eq!(sums(&scene).await, ["new 1 9", "old 2 11"]);
}

#[tokio::test]
async fn of_two_merges_into_each_other_one_is_executed_and_everything_is_there_once() {
    let scene = large().await;
    let there = scene.planned("sum").await;
    scene.revoke(&scene.new).await;
    let mut order = scene.order(Some("sum"));
    order["from_device_id"] = json!(scene.new.device_id);
    order["into_device_id"] = json!(scene.old.device_id);
    let back = scene.app.planned(&scene.user.viewer, &order).await;
    let orders = [&there, &back].map(|job| scene.app.tell_job(&scene.user.viewer, job, "execute"));
    let replies = join_all(orders).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{:?}", replies.iter().map(|reply| &reply.json).collect::<Vec<_>>());
    scene.app.work_and_fold().await;
    let all = "select count(*) || ' ' || sum(input_tokens) || ' ' || count(distinct device_id) from usage.bucket";
    assert_eq!(scene.app.ask(all).await, ["700 4200 1"]);
    scene.assert_folded().await;
    // The other one does not fit any more.
    let refused = replies.iter().position(|reply| reply.status == 409).unwrap();
    let refused = [&there, &back][refused];
    let reply = scene.app.tell_job(&scene.user.viewer, refused, "execute").await;
    reply.expect_problem(409, "plan_stale");
}

#[tokio::test]
async fn two_workers_beside_each_other_and_one_that_was_gone_in_the_middle_of_a_step_move_each_pair_once() {
    let scene = large().await;
    let other = scene.app.second_server().await;
    other.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    let job = scene.planned("sum").await;
    scene.app.tell_job(&scene.user.viewer, &job, "execute").await.expect_ok();
    // The first worker is gone while its step writes.
    let blocker = dawdle(&scene.app, "m0301").await;
    let held = waits("worker", "wait_event = 'PgSleep'");
    tokio::select! {
        _ = scene.app.backfill_worker().run_step() => panic!("the step is held"),
        _ = scene.app.wait_for(&held) => {}
    }
    sqlx::Connection::close(blocker).await.unwrap();
    let busy = waits("worker", "state <> 'idle'").replace("select 'waits'", "select");
    let ended = format!("select 'ended' where not exists ({busy})");
    scene.app.wait_for(&ended).await;
    assert_eq!(sums(&scene).await, ["new 350 700", "old 700 3500"], "of a step all is there or nothing");
    scene.app.tell("update backfill.job set lease_until = now() - interval '1 second'").await;
    let (one, two) =
        tokio::join!(scene.app.backfill_worker().run_until_idle(), other.backfill_worker().run_until_idle());
    one.unwrap();
    two.unwrap();
    scene.app.work_and_fold().await;
    let done = scene.app.job(&scene.user.viewer, &job).await;
    assert_eq!((&done["state"], &done["progress"]["done"]), (&json!("succeeded"), &json!(MODELS)), "{done}");
    assert_eq!(sums(&scene).await, ["new 700 4200"]);
    scene.assert_folded().await;
}
