//! Merges of devices by command: from the plan to the way back, with a worker that is killed again and again.

use std::process::Stdio;
use std::time::Duration;

use crate::backfills::Scene;

const ALL: &str = "select count(*) || ' ' || sum(input_tokens) from usage.bucket";
const BY_DEVICE: &str = "select string_agg(d.name || ' ' || b.count, ', ' order by d.name)
    from (select device_id, count(*) from usage.bucket group by device_id) b join account.device d using (device_id)";

#[tokio::test]
async fn a_merge_whose_worker_is_killed_at_six_points_moves_every_bucket_once_and_leads_back() {
    let scene = Scene::new(20_000);
    let import = scene.plan();
    scene.home.json(&["backfill", "execute", &import]);
    // The scene knows of one job.
    scene.ask("with gone as (delete from backfill.job returning 1) select count(*)::text from gone").await;
    let checksum = "select md5(string_agg(concat_ws(' ', device_id, hour_start, model, input_tokens, observed_at, rank,
        backfill_id), ',' order by device_id, hour_start, model)) from usage.bucket";
    let before = scene.ask(checksum).await;
    let again = scene.home.json(&["device", "add", "--user", "ann", "--name", "again"]);
    let listed = scene.home.json(&["device", "list", "--user", "ann"]);
    let user = scene.home.json(&["user", "list"])[0]["user_id"].as_str().unwrap().to_owned();
    let old = listed.as_array().unwrap().iter().find(|device| device["name"] == "laptop").unwrap();
    let (old, new) = (old["device_id"].as_str().unwrap(), again["device_id"].as_str().unwrap());
    let plan = ["backfill", "plan", "--action", "merge", "--reason", "installed anew"];
    let devices = ["--user", &user, "--from-device", old, "--into-device", new];
    let job = scene.home.json(&[&plan[..], &devices].concat());
    assert_eq!((&job["merge"]["only_in_from"], &job["progress"]["total"]), (&20_000.into(), &20_000.into()), "{job}");
    let job = job["id"].as_str().unwrap().to_owned();
    let refused = scene.home.run(&["backfill", "execute", &job]);
    assert_eq!((refused.code, refused.stderr.contains("revoke")), (Some(1), true), "{refused:?}");
    scene.home.json(&["device", "revoke", "--user", "ann", "--name", "laptop"]);
    let mut last = 0;
    for kill in 1..=6_u64 {
        let mut command = scene.home.command();
        command.args(["backfill", "execute", &job, "--json"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut worker = command.spawn().unwrap();
        scene.reached(last + 1).await;
        tokio::time::sleep(Duration::from_millis(kill * 7)).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        let done = scene.done().await;
        assert_eq!(scene.ask(ALL).await, "20000 200010000", "after kill {kill} nothing is lost or doubled");
        let moved = format!("select count(*)::text from usage.bucket where device_id = '{new}'");
        assert_eq!(scene.ask(&moved).await, done.to_string());
        last = done;
        scene.end_lease().await;
        if done == 20_000 {
            break;
        }
    }
    let ended = scene.home.json(&["backfill", "execute", &job]);
    assert_eq!((&ended["state"], &ended["merge"]["only_in_from"]), (&"succeeded".into(), &20_000.into()), "{ended}");
    assert_eq!((scene.ask(ALL).await, scene.ask(BY_DEVICE).await), ("20000 200010000".into(), "again 20000".into()));
    let rollup = "select sum(bucket_count) || ' ' || sum(input_tokens) from rollup.daily";
    assert_eq!(scene.ask(rollup).await, "20000 200010000");
    let back = scene.home.json(&["backfill", "rollback", &job]);
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&"rolled_back".into(), &serde_json::json!([])), "{back}");
    assert_eq!(scene.ask(checksum).await, before);
    scene.end().await;
}

#[test]
fn a_merge_by_command_names_its_user_and_both_devices() {
    let home = crate::support::Home::new();
    let plan = ["backfill", "plan", "--action", "merge", "--reason", "r"];
    let id = "01980000-0000-7000-8000-000000000001";
    for missing in [
        &["--from-device", id, "--into-device", id][..],
        &["--user", id, "--into-device", id],
        &["--user", id, "--from-device", id],
    ] {
        let said = home.run(&[&plan[..], missing].concat());
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{missing:?}: {said:?}");
    }
    let replay = ["backfill", "plan", "--action", "replay", "--reason", "r"];
    assert_eq!(home.run(&replay).code, Some(2), "the other jobs name their days");
}
