//! What a merge carries over besides counts: ranks, marks of corrections, what was kept out; and what it must not bring
//! back: what an owner has erased, and what retention has taken.

use reqwest::Method;
use serde_json::{Value, json};

use super::merges::{Scene, used};
use super::{bucket, import};
use crate::support::instant;

/// More than 25 days before the tests' present.
const WINTER: &str = "2026-10-20T10:30:00Z";
const HOUR: &str = "2026-11-19T10:00:00Z";

fn old(input_tokens: u64, observed_at: &str, retracts: bool) -> Value {
    let mut bucket = used(WINTER, input_tokens);
    bucket["observed_at"] = json!(observed_at);
    if retracts {
        bucket["retracts"] = json!(true);
    }
    bucket
}

async fn kept(scene: &Scene) -> Vec<String> {
    let sql = format!(
        "select concat_ws(' ', case device_id when '{}' then 'old' else 'new' end, snapshots,
             to_json(last_kept_at)#>>'{{}}') from usage.kept order by 1",
        scene.old.device_id
    );
    scene.app.ask(&sql).await
}

#[tokio::test]
async fn a_moved_bucket_has_the_rank_and_the_stamp_that_it_had() {
    for (moved, scan, expected) in [
        // In time: a late scan that is silent replaces nothing, one that retracts does.
        (old(900, "2026-10-20T11:00:00Z", false), old(950, "2026-11-20T11:00:00Z", false), ("kept", 900)),
        (old(900, "2026-10-20T11:00:00Z", false), old(100, "2026-11-20T11:00:00Z", true), ("updated", 100)),
        // Late and silent: the larger total wins, as if the new device had sent both.
        (old(900, "2026-11-20T10:00:00Z", false), old(950, "2026-11-20T11:00:00Z", false), ("updated", 950)),
        (old(900, "2026-11-20T10:00:00Z", false), old(850, "2026-11-20T11:00:00Z", false), ("kept", 900)),
        // Late and retracting: the later one wins.
        (old(900, "2026-11-20T10:00:00Z", true), old(950, "2026-11-20T11:00:00Z", false), ("kept", 900)),
        (old(900, "2026-11-20T10:00:00Z", true), old(100, "2026-11-20T11:00:00Z", true), ("updated", 100)),
    ] {
        let scene = Scene::empty().await;
        scene.post(&scene.old, std::slice::from_ref(&moved)).await;
        let job = scene.planned("sum").await;
        let done = scene.app.executed(&scene.user.viewer, &job).await;
        assert_eq!(done["state"], "succeeded", "{done}");
        let shown = "select concat_ws(' ', to_json(observed_at)#>>'{}', stamped) from usage.bucket";
        let stamp = moved["observed_at"].as_str().unwrap().replace('Z', "+00:00");
        assert_eq!(scene.app.ask(shown).await, [format!("{stamp} t")]);
        let reply = scene.app.post_buckets(&scene.new.token, &json!({"buckets": [scan]})).await;
        let tokens = scene.app.ask("select input_tokens::text from usage.bucket").await;
        let (verdict, input_tokens) = expected;
        assert_eq!(reply.expect_ok()["verdicts"], json!([verdict]), "{moved} {scan}");
        assert_eq!(tokens, [input_tokens.to_string()], "{moved} {scan}");
    }
}

#[tokio::test]
async fn an_operator_corrects_what_a_merge_has_decided() {
    let scene = Scene::empty().await;
    scene.post(&scene.old, &[used(HOUR, 8)]).await;
    scene.post(&scene.new, &[used(HOUR, 5)]).await;
    let job = scene.planned("sum").await;
    scene.app.executed(&scene.user.viewer, &job).await;
    assert_eq!(scene.says().await, ["new 10:00 13"]);
    let correction = import(&[bucket(&scene.user, &scene.new, HOUR, "m", 20)]);
    let job = scene.app.planned(&scene.user.operator, &correction).await;
    let done = scene.app.executed(&scene.user.operator, &job).await;
    assert_eq!((&done["state"], scene.says().await), (&json!("succeeded"), vec!["new 10:00 20".to_owned()]), "{done}");
    scene.app.rolled_back(&scene.user.operator, &done).await;
    assert_eq!(scene.says().await, ["new 10:00 13"]);
}

#[tokio::test]
async fn what_a_device_has_reported_less_is_carried_over_and_given_back() {
    for new_has in [false, true] {
        let scene = Scene::empty().await;
        for (device, is_kept) in [(&scene.old, true), (&scene.new, new_has)] {
            scene.post(device, &[old(900, "2026-10-20T11:00:00Z", false)]).await;
            if is_kept {
                scene.post(device, &[old(100, "2026-11-20T11:00:00Z", false)]).await;
                scene.app.clock.set(instant("2026-11-20T12:00:10Z"));
            }
        }
        let before = kept(&scene).await;
        let job = scene.planned("sum").await;
        let done = scene.app.executed(&scene.user.viewer, &job).await;
        let last = if new_has { "10" } else { "00" };
        let snapshots = if new_has { 2 } else { 1 };
        assert_eq!(kept(&scene).await, [format!("new {snapshots} 2026-11-20T12:00:{last}+00:00")]);
        scene.app.rolled_back(&scene.user.viewer, &done).await;
        assert_eq!(kept(&scene).await, before);
    }
}

#[tokio::test]
async fn corrections_move_with_their_marks_and_jobs_are_taken_back_newest_first() {
    let scene = Scene::empty().await;
    scene.post(&scene.old, &[used(HOUR, 5)]).await;
    scene.app.drain().await;
    let original = scene.app.buckets_checksum().await;
    let correction = import(&[bucket(&scene.user, &scene.old, HOUR, "m", 8)]);
    let correction = scene.app.planned(&scene.user.operator, &correction).await;
    let correction = scene.app.executed(&scene.user.operator, &correction).await;
    let corrected = scene.app.buckets_checksum().await;
    let job = scene.planned("sum").await;
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    assert_eq!(scene.says().await, ["new 10:00 8"]);
    let refused = scene.app.tell_job(&scene.user.operator, &correction, "rollback").await;
    let problem = refused.expect_problem(409, "conflict");
    assert!(problem["detail"].as_str().unwrap().contains(done["id"].as_str().unwrap()), "{problem}");
    // A snapshot without a stamp gives way to the mark, and comes to light behind it.
    let unstamped = json!({"buckets": [{"hour_start": HOUR, "source": "codex", "model": "m", "input_tokens": 1}]});
    let reply = scene.app.post_buckets(&scene.new.token, &unstamped).await;
    assert_eq!(reply.expect_ok()["verdicts"], json!(["corrected"]));
    scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!(scene.says().await, ["new 10:00 1", "old 10:00 8"]);
    scene.app.tell(&format!("delete from usage.bucket where device_id = '{}'", scene.new.device_id)).await;
    assert_eq!(scene.app.buckets_checksum().await, corrected);
    scene.app.rolled_back(&scene.user.operator, &correction).await;
    assert_eq!(scene.app.buckets_checksum().await, original);
}

#[tokio::test]
async fn a_device_that_was_merged_is_merged_further_and_both_lead_back_newest_first() {
    let scene = Scene::start().await;
    let third = scene.app.device(&scene.user, "third").await;
    let original = scene.app.buckets_checksum().await;
    let first = scene.planned("sum").await;
    let first = scene.app.executed(&scene.user.viewer, &first).await;
    let between = scene.app.buckets_checksum().await;
    scene.revoke(&scene.new).await;
    let order = json!({"action": "merge", "reason": "again", "from_device_id": scene.new.device_id,
        "into_device_id": third.device_id});
    let second = scene.app.planned(&scene.user.viewer, &order).await;
    let second = scene.app.executed(&scene.user.viewer, &second).await;
    let devices = "select string_agg(distinct device_id::text, ' ') from usage.bucket";
    assert_eq!(scene.app.ask(devices).await, [third.device_id.to_string()]);
    scene.app.tell_job(&scene.user.viewer, &first, "rollback").await.expect_problem(409, "conflict");
    scene.app.rolled_back(&scene.user.viewer, &second).await;
    assert_eq!(scene.app.buckets_checksum().await, between);
    scene.app.rolled_back(&scene.user.viewer, &first).await;
    assert_eq!(scene.app.buckets_checksum().await, original);
    scene.assert_folded().await;
}

#[tokio::test]
async fn a_rollback_brings_nothing_back_that_the_owner_has_erased_meanwhile() {
    for (scope, expected) in [
        ("everything=true".to_owned(), [].as_slice()),
        ("old".to_owned(), &["new 10:30 7", "new 11:00 4", "new 11:30 1"]),
        ("new".to_owned(), &[]),
    ] {
        let scene = Scene::start().await;
        let job = scene.planned("sum").await;
        let done = scene.app.executed(&scene.user.viewer, &job).await;
        let scope = match scope.as_str() {
            "old" => format!("device={}", scene.old.device_id),
            "new" => format!("device={}", scene.new.device_id),
            _ => scope,
        };
        let path = format!("/v1/me/usage?{scope}");
        scene.app.request(Method::DELETE, &path).bearer(&scene.user.viewer).send().await.expect_ok();
        scene.app.drain().await;
        let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
        assert_eq!(back["state"], "rolled_back", "{back}");
        assert_eq!(scene.says().await, expected, "{scope}");
        scene.assert_folded().await;
    }
}

#[tokio::test]
async fn what_retention_has_taken_is_neither_planned_nor_given_back_and_its_days_keep_their_sums() {
    let scene = Scene::empty().await;
    scene.post(&scene.old, &[used("2026-11-10T10:00:00Z", 3), used("2026-11-16T10:00:00Z", 5), used(HOUR, 7)]).await;
    scene.app.drain().await;
    assert_eq!(scene.app.retention(5).run_pass().await.unwrap().buckets, 1);
    let days = "select string_agg(concat_ws(' ', day, input_tokens, device_id), ', ' order by day) from rollup.daily";
    let job = scene.planned("sum").await;
    assert_eq!(job["progress"]["total"], 2, "{job}");
    let done = scene.app.executed(&scene.user.viewer, &job).await;
    let (old, new) = (scene.old.device_id, scene.new.device_id);
    let expected = format!("2026-11-10 3 {old}, 2026-11-16 5 {new}, 2026-11-19 7 {new}");
    assert_eq!(scene.app.ask(days).await, [expected], "a frozen day stays with the device that it was of");
    assert_eq!(scene.app.retention(2).run_pass().await.unwrap().buckets, 1);
    let back = scene.app.rolled_back(&scene.user.viewer, &done).await;
    assert_eq!(back["state"], "rolled_back");
    assert_eq!(scene.says().await, ["old 10:00 7"]);
    let expected = format!("2026-11-10 3 {old}, 2026-11-16 5 {new}, 2026-11-19 7 {old}");
    assert_eq!(scene.app.ask(days).await, [expected]);
    let kept: Vec<_> = back["kept_on_rollback"].as_array().unwrap().iter().map(|key| &key["hour_start"]).collect();
    assert_eq!(kept, ["2026-11-16T10:00:00Z", "2026-11-16T10:00:00Z"], "{back}");
}
