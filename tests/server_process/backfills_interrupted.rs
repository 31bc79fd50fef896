//! Backfills that are stopped from outside: a server that sleeps in the middle of a step and wakes past its lease, a
//! command that its operator interrupts, a file that cannot be read.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::backfills::Scene;
use crate::http::wait_until;
use crate::processes::send;

/// Everything that jobs write, with the transactions that wrote it.
const EVERYTHING: &str = "select concat_ws(' ',
    (select md5(string_agg(format('%s %s %s', b.xmin, b.ctid, b), ' ' order by b.hour_start, b.model)) from usage.bucket b),
    (select md5(string_agg(format('%s %s', d.xmin, d), ' ' order by d.day, d.model)) from rollup.daily d),
    (select md5(string_agg(format('%s %s', j.xmin, j), ' ')) from backfill.job j),
    (select count(*) from usage.outbox), (select count(*) from usage.pre_image), (select count(*) from backfill.exception))";

#[tokio::test]
async fn a_server_that_is_stopped_in_the_middle_of_a_step_writes_nothing_when_it_wakes() {
    let scene = Scene::new(20_000);
    let job = scene.plan();
    let server = scene.home.serve().await;
    scene.home.json(&["backfill", "execute", &job, "--detach"]);
    scene.reached(1).await;
    // The next step is held where it has begun to write, and there the process is put to sleep.
    let mut blocker = scene.admin.begin().await.unwrap();
    blocker.execute("lock table usage.horizon in access exclusive mode").await.unwrap();
    let held = "select pid::text from pg_locks where not granted and relation = 'usage.horizon'::regclass";
    let backend = scene.wait_for(held).await;
    send(server.pid(), Signal::STOP);
    let (asleep, written) = (scene.done().await, scene.ask("select count(*)::text from usage.bucket").await);
    assert_eq!(asleep.to_string(), written);
    blocker.rollback().await.unwrap();
    let of_backend =
        |state: &str| format!("select 'so' from pg_stat_activity where pid = {backend} and state = '{state}'");
    scene.wait_for(&of_backend("idle in transaction")).await;

    // It holds the job's row until the database ends its transaction. Then its lease runs out, and another process, a
    // command, has the job to itself.
    scene.end_lease().await;
    let gone = format!("select 'so' where not exists (select from pg_stat_activity where pid = {backend})");
    scene.wait_for(&gone).await;
    assert_eq!((scene.done().await, scene.ask("select count(*)::text from usage.bucket").await), (asleep, written));
    let ended = scene.home.json(&["backfill", "execute", &job]);
    assert_eq!((&ended["state"], &ended["progress"]["done"]), (&"succeeded".into(), &20_000.into()), "{ended}");
    let everything = scene.ask(EVERYTHING).await;

    let woken_at = scene.ask("select clock_timestamp()::text").await;
    send(server.pid(), Signal::CONT);
    // It finds that its step has come to nothing, that the job is not its own, and asks for another.
    scene
        .wait_for(&format!(
            "select 'so' from pg_stat_activity where application_name = 'halfhour worker' and query like '%skip locked%'
                 and query_start > '{woken_at}'"
        ))
        .await;
    assert_eq!(scene.ask(EVERYTHING).await, everything);
    let failed = server.running.stdout();
    let failed = failed.lines().filter(|line| line.contains(r#""function":"backfill_step""#));
    let failed: Vec<Value> = failed.filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(failed.last().unwrap()["status"], 503, "{failed:?}");
    server.stop().await;
    assert_eq!(scene.ask(EVERYTHING).await, everything);
    let sums = "select count(*) || ' ' || sum(input_tokens) from usage.bucket";
    assert_eq!(scene.ask(sums).await, "20000 200010000");
    scene.end().await;
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_after_its_step_and_another_goes_on_at_once() {
    let scene = Scene::new(20_000);
    let job = scene.plan();
    let server = scene.home.serve().await;
    scene.home.json(&["backfill", "execute", &job, "--detach"]);
    scene.reached(1).await;
    server.stop().await;
    let left = "select (state = 'running' and lease_token is null and done = (select count(*) from usage.bucket))::text from backfill.job";
    assert_eq!(scene.ask(left).await, "true");
    let other = scene.home.serve().await;
    scene.wait_for("select 'so' from backfill.job where state = 'succeeded'").await;
    assert_eq!(scene.ask("select count(*)::text from usage.bucket").await, "20000");
    other.stop().await;
    scene.end().await;
}

#[tokio::test]
async fn a_rollback_whose_worker_is_killed_again_and_again_restores_everything() {
    let scene = Scene::new(20_000);
    // Half of the buckets stand already, in another version, so that rows are both restored and removed.
    let lines = std::fs::read_to_string(scene.home.path().join("import")).unwrap();
    let half: Vec<&str> = lines.lines().step_by(2).collect();
    std::fs::write(scene.home.path().join("import"), half.join("\n").replace("input_tokens\":", "input_tokens\":7"))
        .unwrap();
    let below = scene.plan();
    scene.home.json(&["backfill", "execute", &below]);
    let says = "select count(*) || ' ' || md5(string_agg(format('%s %s %s %s', hour_start, model, input_tokens, observed_at), ' '
                    order by hour_start, model)) || ' ' || (select md5(string_agg(d::text, ' ' order by d)) from rollup.daily d)
                from usage.bucket";
    let before = scene.ask(says).await;
    std::fs::write(scene.home.path().join("import"), lines).unwrap();
    let job = scene.plan();
    scene.home.json(&["backfill", "execute", &job]);
    assert_ne!(scene.ask(says).await, before);

    let done = format!("select done::text from backfill.job where job_id = '{job}'");
    let mut last = 0;
    for kill in 1..=8 {
        let mut command = scene.home.command();
        let mut worker =
            command.args(["backfill", "rollback", &job]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let rolling = format!(
            "select done::text from backfill.job where job_id = '{job}' and state = 'rolling_back' and done > {last}"
        );
        scene.wait_for(&rolling).await;
        worker.kill().unwrap();
        worker.wait().unwrap();
        last = scene.ask(&done).await.parse::<i64>().unwrap();
        assert!(last < 20_000, "the rollback ended before kill {kill}");
        // What is behind it is restored or removed, what is before it still stands corrected.
        let left = format!("select (20000 - count(*))::text from usage.bucket where backfill_id = '{job}'");
        assert_eq!(scene.ask(&left).await, last.to_string(), "after kill {kill}");
        scene.end_lease().await;
    }
    let back = scene.home.json(&["backfill", "rollback", &job]);
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&"rolled_back".into(), &serde_json::json!([])), "{back}");
    assert_eq!(scene.ask(says).await, before);
    scene.end().await;
}

#[tokio::test]
async fn an_import_whose_postgresql_is_killed_again_and_again_ends_as_if_nothing_had_been() {
    let scene = Scene::new(40_000);
    let job = scene.plan();
    let server = scene.home.serve().await;
    scene.home.json(&["backfill", "execute", &job, "--detach"]);
    let mut last = 0;
    for kill in 1..=5 {
        let seen = scene.reached(last + 1).await;
        assert!(seen < 40_000, "the import ended before kill {kill}");
        let killed = scene.postmaster().unwrap().pid;
        send(killed, Signal::KILL);
        let is_back = || scene.postmaster().is_some_and(|now| now.pid != killed);
        wait_until("PostgreSQL to be back", is_back).await;
        // Steps do not wait for the disk, so that the last of them may be gone, but never a part of one.
        last = loop {
            let whole = "select done || ' ' || (select count(*) from usage.bucket) from backfill.job";
            if let Ok(row) = scene.admin.fetch_one(sqlx::raw_sql(whole)).await {
                let whole: String = sqlx::Row::get(&row, 0);
                let (done, stored) = whole.split_once(' ').unwrap();
                assert_eq!(done, stored, "after kill {kill}");
                break done.parse().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
    }
    scene.wait_for("select 'so' from backfill.job where state = 'succeeded'").await;
    let sums = "select count(*) || ' ' || sum(input_tokens) from usage.bucket";
    assert_eq!(scene.ask(sums).await, "40000 800020000");
    let folded = "select sum(bucket_count) || ' ' || sum(input_tokens) from rollup.daily";
    assert_eq!(scene.ask(folded).await, "40000 800020000");
    server.stop().await;
    scene.end().await;
}

#[tokio::test]
async fn an_interrupted_command_says_that_its_job_goes_on_and_leaves_it_free_for_others() {
    let scene = Scene::new(20_000);
    let job = scene.plan();
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = scene.home.command();
        command.args(["backfill", "execute", &job, "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let before = scene.done().await;
        let worker = command.spawn().unwrap();
        scene.reached(before + 1).await;
        send(worker.id(), signal);
        let said = worker.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
        let shown: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((said.status.code(), &shown["state"]), (Some(3), &"running".into()), "{stdout}{stderr}");
        let words = "halfhour: the job is running still: a running server goes on with it, or this command when it is repeated; \
            `backfill cancel` stops it\n";
        assert_eq!(stderr, words);
        // The step under way was finished, and nobody has to wait for a lease.
        let done = scene.done().await;
        assert_eq!(shown["progress"]["done"], done);
        let left =
            "select (lease_token is null and done = (select count(*) from usage.bucket))::text from backfill.job";
        assert_eq!(scene.ask(left).await, "true");
    }
    let ended = scene.home.json(&["backfill", "execute", &job]);
    assert_eq!((&ended["state"], &ended["progress"]["done"]), (&"succeeded".into(), &20_000.into()), "{ended}");
    scene.end().await;
}

#[tokio::test]
async fn commands_that_go_wrong_say_so_by_their_exit_code_and_leave_no_job_half_planned() {
    let scene = Scene::new(10);
    let plan = |file: &str| {
        let window = ["--from", "2026-01-05", "--to", "2026-02-23"];
        let order = ["backfill", "plan", "--action", "import", "--reason", "load", "--json"];
        scene.home.run(&[&order[..], &window, &[file]].concat())
    };
    std::fs::write(scene.home.path().join("empty"), "\n\n").unwrap();
    // A directory can be opened, and not be read.
    for (file, words, jobs) in [
        ("missing", "missing cannot be read", ""),
        (".", ". broke off", "failed abandoned"),
        ("empty", "The stream has no line.", "failed abandoned, failed no_lines"),
    ] {
        let said = plan(file);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.stderr.contains(words), "{said:?}");
        let sql = "select coalesce(string_agg(state || ' ' || failure, ', ' order by job_id), '') from backfill.job";
        assert_eq!(scene.ask(sql).await, jobs, "{file}");
    }

    // Lines that could not be taken: the others are written, and the end is not a good one.
    let mut lines = std::fs::read_to_string(scene.home.path().join("import")).unwrap();
    lines.push_str("{\"broken\n");
    std::fs::write(scene.home.path().join("broken"), lines).unwrap();
    let planned: Value = serde_json::from_str(&plan("broken").stdout).unwrap();
    assert_eq!((&planned["state"], &planned["poisoned"]), (&"planned".into(), &1.into()), "{planned}");
    let job = planned["id"].as_str().unwrap();
    let said = scene.home.run(&["backfill", "execute", job]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(3), "halfhour: the job is failed (incomplete)\n"), "{said:?}");
    assert!(said.stdout.contains("1 poisoned, 0 skipped"), "{said:?}");
    assert_eq!(scene.ask("select count(*)::text from usage.bucket").await, "10");
    let said = scene.home.run(&["backfill", "cancel", job]);
    let words = "halfhour: The job is failed; only a planning, planned or running job can be cancelled.\n";
    assert_eq!((said.code, said.stderr.as_str()), (Some(1), words), "{said:?}");
    assert_eq!(scene.home.json(&["backfill", "rollback", job])["state"], "rolled_back");
    assert_eq!(scene.ask("select count(*)::text from usage.bucket").await, "0");
    scene.end().await;
}

impl Scene {
    /// Waits until SQL of one text column answers anything.
    async fn wait_for(&self, sql: &str) -> String {
        let answer = async {
            loop {
                let row = self.admin.fetch_optional(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
                match row {
                    Some(row) => return sqlx::Row::get(&row, 0),
                    None => tokio::time::sleep(Duration::from_millis(3)).await,
                }
            }
        };
        tokio::time::timeout(crate::http::PATIENCE, answer).await.expect(sql)
    }
}
