//! The worker: one at a time on a job, behind a fence, over poison and over what has moved.

use serde_json::{Value, json};

use super::{bucket, dawdle, import, waits};
use crate::support::{TestApp, TestDevice, TestUser, line_with};

const HOUR: &str = "2026-11-20T10:30:00Z";

/// A running import of so many models.
async fn running(models: usize) -> (TestApp, TestUser, TestDevice, Value) {
    let app = TestApp::start().await;
    let user = app.user("ann", "UTC").await;
    let device = app.device(&user, "laptop").await;
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    let buckets: Vec<Value> = (0..models).map(|at| bucket(&user, &device, HOUR, &format!("m{at:04}"), 1)).collect();
    let job = app.planned(&user.operator, &import(&buckets)).await;
    let job = app.tell_job(&user.operator, &job, "execute").await.expect_ok().clone();
    (app, user, device, job)
}

#[tokio::test]
async fn a_job_is_carried_on_where_the_last_worker_left_it_and_two_never_hold_it() {
    let (app, user, _device, job) = running(1_700).await;
    let other = app.second_server().await;
    other.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    assert!(app.backfill_worker().run_step().await.unwrap());
    assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 500);
    // Somebody holds it: the other finds no work.
    app.tell("update backfill.job set lease_token = gen_random_uuid(), lease_until = now() + interval '1 minute'")
        .await;
    assert!(!other.backfill_worker().run_step().await.unwrap());
    app.tell("update backfill.job set lease_until = now() - interval '1 second'").await;
    let blocker = dawdle(&app, "m0600").await;
    let beside = async {
        app.wait_for(&waits("worker", "wait_event = 'PgSleep'")).await;
        assert!(!other.backfill_worker().run_step().await.unwrap(), "in the middle of another's step");
        sqlx::Connection::close(blocker).await.unwrap();
    };
    let (stepped, ()) = tokio::join!(app.backfill_worker().run_step(), beside);
    assert!(stepped.unwrap());
    assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 1_000);
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["progress"]["done"]), (&json!("succeeded"), &json!(1_700)), "{done}");
    assert_eq!(app.ask("select count(*) || ' ' || sum(input_tokens) from usage.bucket").await, ["1700 1700"]);
}

#[tokio::test]
async fn a_cancelled_job_stops_within_a_step_says_how_far_it_came_and_can_be_taken_back() {
    let (app, user, _device, job) = running(1_200).await;
    assert!(app.backfill_worker().run_step().await.unwrap());
    let cancelled = app.tell_job(&user.operator, &job, "cancel").await.expect_ok().clone();
    assert_eq!((&cancelled["state"], &cancelled["progress"]["done"]), (&json!("cancelled"), &json!(500)));
    app.work_and_fold().await;
    assert_eq!(app.ask("select count(*)::text from usage.bucket").await, ["500"]);
    let back = app.rolled_back(&user.operator, &cancelled).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(back["progress"]["total"], 500, "what was never written is not taken back");
    let left = "select (select count(*) from usage.bucket) || ' ' || (select count(*) from rollup.daily)";
    assert_eq!(app.ask(left).await, ["0 0"]);
}

#[tokio::test]
async fn rows_that_the_database_refuses_or_that_have_moved_are_listed_and_stepped_over() {
    let (app, user, device, job) = running(900).await;
    app.tell(
        "create function pg_temp_poison() returns trigger language plpgsql as $$ begin
             if new.model in ('m0007', 'm0600') then raise exception 'poison'; end if; return new; end $$;
         create trigger poison before insert on usage.bucket for each row execute function pg_temp_poison()",
    )
    .await;
    // This one came after the execution began.
    let body = json!({"buckets": [{"hour_start": HOUR, "source": "codex", "model": "m0300", "input_tokens": 9}]});
    app.post_buckets(&device.token, &body).await.expect_ok();
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["failure"]), (&json!("failed"), &json!("incomplete")), "{done}");
    assert_eq!((&done["poisoned"], &done["skipped"], &done["progress"]["done"]), (&json!(2), &json!(1), &json!(900)));
    let found = app.job_list(&user.operator, &job, "exceptions").await;
    let mut found: Vec<String> = found
        .iter()
        .map(|exception| format!("{} {}", exception["bucket"]["model"], exception["code"]).replace('"', ""))
        .collect();
    found.sort_unstable();
    assert_eq!(found, ["m0007 refused_P0001", "m0300 moved", "m0600 refused_P0001"]);
    assert_eq!(app.ask("select count(*)::text from usage.bucket").await, ["898"]);
    // A rollback does not list what the execution had left alone.
    let back = app.rolled_back(&user.operator, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(app.ask("select model || input_tokens from usage.bucket").await, ["m03009"]);
}

#[tokio::test]
async fn a_thrown_switch_holds_jobs_and_a_parked_event_fails_them() {
    let (app, user, _device, job) = running(10).await;
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, false);
    assert!(!app.backfill_worker().run_step().await.unwrap());
    app.work().await;
    assert_eq!(app.job(&user.operator, &job).await["state"], "running", "not before it is folded");
    app.tell("update usage.outbox set parked_at = now(), attempts = 10").await;
    app.work().await;
    let failed = app.job(&user.operator, &job).await;
    assert_eq!((&failed["state"], &failed["failure"]), (&json!("failed"), &json!("events_parked")), "{failed}");
}

#[tokio::test]
async fn a_bucket_that_comes_while_a_step_writes_is_left_to_its_tracker() {
    let (app, user, device, job) = running(10).await;
    // It was absent when the step began, and then somebody is faster.
    let mut tracker = crate::relay::hold(
        &app,
        &format!(
            "insert into usage.bucket values ('{}', '{HOUR}', '{}', 'codex', 'm0005', 9, 0, 0, 0, 0, 0, 0, 0, default,
                 '2026-11-20T10:40:00Z', '2026-11-20T10:40:00Z', null, true)",
            user.user_id, device.device_id
        ),
    )
    .await;
    let faster = async {
        app.wait_for(crate::relay::WAITING).await;
        crate::relay::run(&mut tracker, "commit").await;
    };
    let (stepped, ()) = tokio::join!(app.backfill_worker().run_step(), faster);
    assert!(stepped.unwrap());
    let left = "select count(*) || ' ' || sum(input_tokens) from usage.bucket";
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!(
        (&done["state"], &done["skipped"], &done["progress"]["done"]),
        (&json!("failed"), &json!(1), &json!(10))
    );
    assert_eq!(app.job_list(&user.operator, &job, "exceptions").await[0]["code"], "moved");
    assert_eq!(app.ask(left).await, ["10 18"]);
    let back = app.rolled_back(&user.operator, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(app.ask(left).await, ["1 9"]);
}

#[tokio::test]
async fn a_step_gives_way_to_whoever_holds_one_of_its_rows_and_has_written_nothing() {
    let (app, user, device, job) = running(10).await;
    app.work_and_fold().await;
    assert_eq!(app.job(&user.operator, &job).await["state"], "succeeded");
    let higher: Vec<Value> = (0..10).map(|at| bucket(&user, &device, HOUR, &format!("m{at:04}"), 2)).collect();
    let job = app.planned(&user.operator, &import(&higher)).await;
    let job = app.tell_job(&user.operator, &job, "execute").await.expect_ok().clone();
    // As a post that waits for what the step holds would, in a circle.
    let mut tracker = crate::relay::hold(&app, "select from usage.bucket where model = 'm0005' for update").await;
    assert!(app.backfill_worker().run_step().await.unwrap(), "it is no failure");
    let (sum, hidden) =
        ("select sum(input_tokens)::text from usage.bucket", "select count(*)::text from usage.pre_image");
    assert_eq!((app.ask(sum).await, app.ask(hidden).await), (vec!["10".to_owned()], vec!["0".to_owned()]));
    assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 0);
    crate::relay::run(&mut tracker, "commit").await;
    app.work_and_fold().await;
    let done = app.job(&user.operator, &job).await;
    assert_eq!((&done["state"], &done["skipped"]), (&json!("succeeded"), &json!(0)), "{done}");
    assert_eq!(app.ask(sum).await, ["20"]);
}

#[tokio::test]
async fn a_step_that_failed_says_on_its_line_what_it_failed_with_and_has_changed_nothing() {
    let (app, user, _device, job) = running(10).await;
    for (sqlstate, status, upstream_status, attribution) in [
        ("53100", 503, 503, "UPSTREAM"),
        ("57014", 504, 504, "UPSTREAM"),
        ("40001", 503, 409, "APPLICATION"),
        ("42501", 500, 500, "UPSTREAM"),
    ] {
        let mark = app.refuse_inserts("usage.bucket", sqlstate).await;
        app.backfill_worker().run_step().await.unwrap_err();
        let line = line_with(&mark);
        assert_eq!((&line["function"], &line["stage"]), (&"backfill_step".into(), &"running".into()), "{line}");
        assert_eq!((&line["status"], &line["upstream_status"]), (&status.into(), &upstream_status.into()), "{line}");
        assert_eq!(line["attribution"], attribution, "{line}");
        assert_eq!(app.job(&user.operator, &job).await["progress"]["done"], 0);
        // Its worker is gone, as it were.
        app.tell("update backfill.job set lease_until = now() - interval '1 second'").await;
    }
    app.tell("drop trigger refuse_insert on usage.bucket").await;
    app.work_and_fold().await;
    assert_eq!(app.job(&user.operator, &job).await["state"], "succeeded");
}

#[tokio::test]
async fn a_bucket_that_cannot_be_taken_back_is_listed_and_a_later_rollback_tries_it_again() {
    let (app, user, _device, _job) = running(20).await;
    app.work_and_fold().await;
    let job = app.get(&user.operator, "/v1/backfills").await.expect_ok()["data"][0].clone();
    app.tell(
        "create function public.refuse() returns trigger language plpgsql as $$ begin
             if old.model = 'm0007' then raise exception 'poison'; end if; return old; end $$;
         create trigger refuse before delete on usage.bucket for each row execute function public.refuse()",
    )
    .await;
    let back = app.rolled_back(&user.operator, &job).await;
    assert_eq!(
        (&back["state"], &back["kept_on_rollback"][0]["model"]),
        (&json!("rolled_back"), &json!("m0007")),
        "{back}"
    );
    let listed = app.job_list(&user.operator, &job, "exceptions").await;
    assert_eq!((listed.len(), &listed[0]["kind"], &listed[0]["code"]), (1, &json!("kept"), &json!("refused_P0001")));
    assert_eq!(app.ask("select model from usage.bucket").await, ["m0007"]);
    app.tell("drop trigger refuse on usage.bucket").await;
    let back = app.rolled_back(&user.operator, &back).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    let left = "select (select count(*) from usage.bucket) || ' ' || (select count(*) from rollup.daily)";
    assert_eq!(app.ask(left).await, ["0 0"]);
}
