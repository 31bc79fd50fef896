//! Erasures of persons beside backfills: jobs that are planned, at work, and taken back.

use serde_json::{Value, json};

use super::NAME;
use crate::backfill::{bucket, import};
use crate::relay::{hold, release};
use crate::support::{TestApp, TestDevice, TestUser};

const HOUR: &str = "2026-11-20T10:30:00Z";

/// Two users with so many buckets each, and a running job that corrects them all, 500 in a step. They come in the order of
/// their ids, which is the order of steps. A third one operates.
async fn running(app: &TestApp, many: [usize; 2]) -> (TestUser, [(TestUser, TestDevice); 2], Value) {
    let operator = app.user("operator", "UTC").await;
    let (mut users, mut corrections) = (Vec::new(), Vec::new());
    for (name, many) in ["ann", "bob"].into_iter().zip(many) {
        let user = app.user(name, "UTC").await;
        let device = app.device(&user, &format!("{name} laptop")).await;
        let posted = |at: usize| {
            json!({"hour_start": HOUR, "source": "codex", "model": format!("m{at:03}"), "input_tokens": 5,
                "observed_at": "2026-11-20T10:40:00Z"})
        };
        let buckets: Vec<Value> = (0..many).map(posted).collect();
        app.post_buckets(&device.token, &json!({ "buckets": buckets })).await.expect_ok();
        corrections.extend((0..many).map(|at| bucket(&user, &device, HOUR, &format!("m{at:03}"), 9)));
        users.push((user, device));
    }
    app.drain().await;
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    let job = app.planned(&operator.operator, &import(&corrections)).await;
    let job = app.tell_job(&operator.operator, &job, "execute").await.expect_ok().clone();
    let users = <[_; 2]>::try_from(users).unwrap_or_else(|_| panic!("there are two users"));
    (operator, users, job)
}

/// What somebody's buckets say, and in how many.
async fn says(app: &TestApp, user: &TestUser) -> Vec<String> {
    let sql = "select format('%s %s', input_tokens, count(*)) from usage.bucket where user_id = '$user' group by input_tokens";
    app.ask(&sql.replace("$user", &user.user_id.to_string())).await
}

/// The erasure of one of the two in the middle of a job, which goes on with the other, and is taken back.
async fn erased_in_the_middle(erased: usize, steps: usize) {
    let app = TestApp::start().await;
    let (operator, users, job) = running(&app, [500, 500]).await;
    for _ in 0..steps {
        assert!(app.backfill_worker().run_step().await.unwrap());
    }
    let (gone, stays) = (&users[erased], &users[1 - erased]);
    app.erase_person(&gone.0).await.expect_ok();
    app.assert_gone(&gone.0, &[]).await;
    app.work_and_fold().await;
    let done = app.job(&operator.operator, &job).await;
    assert_eq!((&done["state"], &done["skipped"]), (&json!("succeeded"), &json!(0)), "{done}");
    assert_eq!((&done["progress"]["done"], &done["progress"]["total"]), (&json!(500), &json!(500)), "{done}");
    assert_eq!(done["diff"]["raised"], 1_000, "the diff stays as it was planned");
    assert_eq!(says(&app, &stays.0).await, ["9 500"]);
    app.assert_gone(&gone.0, &[]).await;
    let back = app.rolled_back(&operator.operator, &done).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(says(&app, &stays.0).await, ["5 500"]);
    app.assert_gone(&gone.0, &[]).await;
}

#[tokio::test]
async fn a_job_goes_on_with_the_others_when_one_is_erased_before_its_rows_were_reached() {
    erased_in_the_middle(1, 1).await;
}

#[tokio::test]
async fn a_job_goes_on_with_the_others_when_one_is_erased_whose_rows_it_had_written() {
    erased_in_the_middle(0, 1).await;
}

#[tokio::test]
async fn a_job_that_has_not_begun_loses_the_rows_of_who_is_erased_and_no_others() {
    erased_in_the_middle(0, 0).await;
}

#[tokio::test]
async fn a_job_that_was_stopped_in_the_middle_is_taken_back_as_far_as_it_had_come_without_who_was_erased() {
    let app = TestApp::start().await;
    let (operator, [ann, bob], job) = running(&app, [300, 500]).await;
    assert!(app.backfill_worker().run_step().await.unwrap());
    let mut written = says(&app, &bob.0).await;
    written.sort_unstable();
    assert_eq!(written, ["5 300", "9 200"], "all of Ann's rows and some of Bob's");
    let stopped = app.tell_job(&operator.operator, &app.job(&operator.operator, &job).await, "cancel").await;
    let stopped = stopped.expect_ok().clone();
    app.erase_person(&ann.0).await.expect_ok();
    let back = app.rolled_back(&operator.operator, &stopped).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(says(&app, &bob.0).await, ["5 500"]);
    app.assert_gone(&ann.0, &[]).await;
}

#[tokio::test]
async fn a_job_that_has_ended_does_not_remember_on_whose_row_it_stood() {
    let app = TestApp::start().await;
    let (operator, [ann, bob], job) = running(&app, [300, 500]).await;
    assert!(app.backfill_worker().run_step().await.unwrap());
    let stopped = app.tell_job(&operator.operator, &app.job(&operator.operator, &job).await, "cancel").await;
    stopped.expect_ok();
    let corrections = [bucket(&ann.0, &ann.1, HOUR, "m000", 7), bucket(&bob.0, &bob.1, HOUR, "m000", 7)];
    let second = app.planned(&operator.operator, &import(&corrections)).await;
    let done = app.executed(&operator.operator, &second).await;
    assert_eq!(done["state"], "succeeded", "{done}");
    // As an older release leaves a job that it has ended.
    let older =
        "update backfill.job set (cursor_user_id, cursor_hour_start, cursor_device_id, cursor_source, cursor_model)
        = ('$user', '$hour', '$device', 'codex', 'm299') where state = 'succeeded'";
    let (user, device) = (ann.0.user_id.to_string(), ann.1.device_id.to_string());
    app.tell(&older.replace("$user", &user).replace("$hour", HOUR).replace("$device", &device)).await;
    for ((user, _), names) in [(&ann, &[][..]), (&bob, &["m299", "m499"][..])] {
        app.erase_person(user).await.expect_ok();
        app.assert_gone(user, names).await;
    }
}

#[tokio::test]
async fn an_erasure_in_the_middle_of_a_rollback_leaves_the_rollback_of_the_others() {
    let app = TestApp::start().await;
    let (operator, [ann, bob], job) = running(&app, [500, 500]).await;
    app.work_and_fold().await;
    let done = app.job(&operator.operator, &job).await;
    app.tell_job(&operator.operator, &done, "rollback").await.expect_ok();
    assert!(app.backfill_worker().run_step().await.unwrap());
    assert_eq!((says(&app, &ann.0).await, says(&app, &bob.0).await), (vec!["5 500".into()], vec!["9 500".into()]));
    app.erase_person(&ann.0).await.expect_ok();
    app.work_and_fold().await;
    let back = app.job(&operator.operator, &job).await;
    assert_eq!((&back["state"], &back["kept_on_rollback"]), (&json!("rolled_back"), &json!([])), "{back}");
    assert_eq!(says(&app, &bob.0).await, ["5 500"]);
    app.assert_gone(&ann.0, &[]).await;
}

/// Makes the staging of every row take its time, until the connection is closed.
async fn dawdle(app: &TestApp) -> sqlx::PgConnection {
    let blocker = hold(app, "select pg_advisory_xact_lock(78)").await;
    app.tell(
        "create or replace function public.dawdle() returns trigger language plpgsql as $$ begin
             while not pg_try_advisory_xact_lock_shared(78) loop perform pg_sleep(0.01); end loop; return new; end $$;
         create or replace trigger dawdle before insert on backfill.plan_row for each row execute function public.dawdle()",
    )
    .await;
    blocker
}

#[tokio::test]
async fn a_plan_that_is_being_staged_at_that_moment_keeps_no_row() {
    let app = TestApp::start().await;
    let operator = app.user("operator", "UTC").await;
    let window = "from=2026-11-01&to=2026-11-19";
    for streamed in [false, true] {
        let (ann, device) = app.somebody(&format!("{NAME} {streamed}"), 7).await;
        let row = bucket(&ann, &device, "2026-11-19T10:00:00Z", "gpt", 9);
        let blocker = dawdle(&app).await;
        let planning = async {
            if streamed {
                app.stream(&operator.operator, "race", window, &format!("{row}\n")).await
            } else {
                app.post_backfill(&operator.operator, "body", &import(std::slice::from_ref(&row))).await
            }
        };
        let erasing = async {
            app.wait_for(&crate::backfill::waits("worker", "wait_event = 'PgSleep'")).await;
            let letting_go = async {
                let erased = format!("select 'erased' from account.erased_user where user_id = '{}'", ann.user_id);
                app.wait_for(&erased).await;
                app.wait_for(&crate::backfill::waits("worker", "wait_event = 'advisory'")).await;
                release(blocker).await;
            };
            tokio::join!(app.erase_person(&ann), letting_go).0
        };
        let (planned, erased) = tokio::join!(planning, erasing);
        assert_eq!(planned.status, 201, "{planned:?}");
        // A stream is summed up in a transaction of its own, before the row goes or after it.
        assert!(streamed || planned.json["diff"]["raised"] == 1, "{planned:?}");
        erased.expect_ok();
        app.assert_gone(&ann, &[NAME]).await;
        // Somebody who is erased has no devices. The line is listed by its number, and not whose it was.
        let key = format!("later {streamed}");
        let later = app.stream(&operator.operator, &key, window, &format!("{row}\n")).await;
        let exceptions = app.job_list(&operator.operator, &later.json, "exceptions").await;
        assert_eq!((&exceptions[0]["line"], &exceptions[0]["code"]), (&json!(1), &json!("unknown_device")));
        assert!(!json!(exceptions).to_string().contains(&ann.user_id.to_string()), "{exceptions:?}");
        app.assert_gone(&ann, &[NAME]).await;
    }
}

#[tokio::test]
async fn a_verification_at_work_lists_nobody_who_is_erased_meanwhile() {
    let app = TestApp::start().await;
    let operator = app.user("operator", "UTC").await;
    let (ann, _) = app.somebody("ann", 7).await;
    let (bob, _) = app.somebody("bob", 5).await;
    app.tell("update rollup.daily set output_tokens = 77").await;
    let order = json!({"action": "verify", "reason": "look", "from": "2026-11-01", "to": "2026-11-20"});
    let job = app.planned(&operator.operator, &order).await;
    app.tell_job(&operator.operator, &job, "execute").await.expect_ok();
    app.switches().set(halfhour::kernel::operations::switches::Switch::Backfill, true);
    // The operator and Ann are compared.
    for _ in 0..2 {
        assert!(app.backfill_worker().run_step().await.unwrap());
    }
    let listed = async || {
        let found = app.job(&operator.operator, &job).await["drift"]["first"].clone();
        found.as_array().unwrap().iter().map(|day| day["user_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [ann.user_id.to_string()]);
    app.erase_person(&ann).await.expect_ok();
    assert_eq!(listed().await, Vec::<String>::new());
    app.work_and_fold().await;
    assert_eq!(listed().await, [bob.user_id.to_string()]);
    assert_eq!(app.job(&operator.operator, &job).await["drift"]["count"], 2, "the numbers stay");
}
