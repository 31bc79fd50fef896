//! Retention: what it removes is gone, what it freezes stays, and nobody loses what was acknowledged.

use halfhour::features::dashboard_rollup::{FOLD_LOCK, Pass};
use halfhour::kernel::operations::switches::Switch;
use halfhour::kernel::problem::Code;
use serde_json::json;

use crate::relay::{WAITING, hold, one_user, release, run};
use crate::support::rollups::Usage;
use crate::support::{TestApp, TestDevice, instant, line_with};

/// The last half hour of 16 November in Berlin, the first of the 17th, and one of today.
const HOURS: [&str; 3] = ["2026-11-16T22:30:00Z", "2026-11-16T23:00:00Z", "2026-11-20T10:00:00Z"];
const BUCKETS: &str = "select to_json(hour_start)#>>'{}' from usage.bucket order by hour_start";
const DAYS: &str = "select format('%s %s', day, sum(input_tokens)) from rollup.daily group by day order by day";
/// Whose buckets of which days were removed.
const AUDITED: &str = "select subject || ' ' || details from ops.audit
    where actor_kind = 'server' and action = 'retention.expire' order by acted_at";
const FROZEN: &str = "select coalesce(frozen_before::text, 'never') from rollup.user_state";

/// Days 16, 17 and 20, folded.
async fn three_days(app: &TestApp) -> TestDevice {
    let (_, device) = one_user(app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    device
}

/// What became of one bucket.
async fn post(app: &TestApp, device: &TestDevice, usage: &Usage) -> String {
    let reply = app.post_buckets(&device.token, &json!({ "buckets": [usage.json()] })).await;
    reply.expect_ok()["verdicts"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whole_local_days_past_retention_lose_their_buckets_and_keep_their_sums() {
    let app = TestApp::start().await;
    three_days(&app).await;
    let days = app.ask(DAYS).await;
    // Today is the 20th; three days before it are kept, and the 17th is one of them.
    let pass = app.retention(3).run_pass().await.unwrap();
    assert_eq!(pass, Pass { users: 1, buckets: 1, pending: 0 });
    assert_eq!(app.ask(BUCKETS).await, ["2026-11-16T23:00:00+00:00", "2026-11-20T10:00:00+00:00"]);
    assert_eq!((app.ask(DAYS).await, app.ask(FROZEN).await), (days.clone(), vec!["2026-11-17".to_owned()]));
    assert_eq!(app.ask("select to_json(first_hour)#>>'{}' from usage.horizon").await, ["2026-11-16T23:00:00+00:00"]);
    assert_eq!(app.retention(3).run_pass().await.unwrap(), Pass::default(), "once is enough");
    let entry = r#"{"before": "2026-11-17", "buckets": 1, "retention_days": 3}"#;
    let user_id = app.ask("select user_id::text from account.user").await.remove(0);
    assert_eq!(app.ask(AUDITED).await, [format!("{user_id} {entry}")]);
    assert_eq!(app.retention(0).run_pass().await.unwrap().buckets, 1);
    assert_eq!((app.ask(DAYS).await, app.ask(FROZEN).await), (days, vec!["2026-11-20".to_owned()]));
}

#[tokio::test]
async fn a_midnight_between_two_half_hours_leaves_the_first_of_its_day() {
    let app = TestApp::start().await;
    let me = app.user("me", "Asia/Kathmandu").await;
    let device = app.device(&me, "laptop").await;
    // Midnight is 18:15 UTC: 18:00 is 23:45 of the 16th.
    for (hour, tokens) in [("2026-11-16T18:00:00Z", 5), ("2026-11-16T18:30:00Z", 70)] {
        app.post_usage(&device, &[Usage::input(hour, tokens)]).await;
    }
    app.drain().await;
    app.retention(3).run_pass().await.unwrap();
    assert_eq!(app.ask(BUCKETS).await, ["2026-11-16T18:30:00+00:00"]);
    assert_eq!(app.ask(DAYS).await, ["2026-11-16 5", "2026-11-17 70"]);
    assert_eq!(post(&app, &device, &Usage::input("2026-11-16T18:00:00Z", 6)).await, "before_retention_horizon");
    assert_eq!(post(&app, &device, &Usage::input("2026-11-16T18:30:00Z", 71)).await, "updated");
}

#[tokio::test]
async fn the_horizon_never_moves_back() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    app.retention(3).run_pass().await.unwrap();
    let horizon = "select to_json(first_hour)#>>'{}' from usage.horizon";
    let before = app.ask(horizon).await;
    app.clock.set(instant("2026-11-18T12:00:00Z"));
    app.tell("update usage.bucket set hour_start = '2026-11-02T00:00Z' where hour_start = '2026-11-20T10:00Z'").await;
    app.retention(3).run_pass().await.unwrap();
    assert_eq!((app.ask(horizon).await, app.ask(FROZEN).await), (before, vec!["2026-11-17".to_owned()]));
    assert_eq!(post(&app, &device, &Usage::input("2026-11-15T00:00:00Z", 6)).await, "before_retention_horizon");
}

#[tokio::test]
async fn a_user_with_an_event_that_is_not_folded_is_left_alone_until_it_is() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 800)]).await;
    for parked in ["null", "now()"] {
        app.tell(&format!("update usage.outbox set parked_at = {parked}")).await;
        let pass = app.retention(3).run_pass().await.unwrap();
        assert_eq!(pass, Pass { users: 0, buckets: 0, pending: 1 });
    }
    assert_eq!(app.ask(BUCKETS).await.len(), 3);
    app.tell("update usage.outbox set parked_at = null").await;
    // One of a day that stays does not matter.
    app.drain().await;
    app.post_usage(&device, &[Usage::input(HOURS[2], 6)]).await;
    assert_eq!(app.retention(3).run_pass().await.unwrap().buckets, 1);
    assert_eq!(app.ask(DAYS).await, ["2026-11-16 800", "2026-11-17 5", "2026-11-20 5"]);
}

#[tokio::test]
async fn a_bucket_before_the_horizon_is_refused_by_itself_and_by_every_server() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    app.retention(3).run_pass().await.unwrap();
    let buckets = HOURS.map(|hour| Usage::input(hour, 9).json());
    let other = app.second_server().await;
    for (server, verdict) in [(&app, "updated"), (&other, "unchanged")] {
        let reply = server.post_buckets(&device.token, &json!({ "buckets": buckets })).await;
        let receipt = reply.expect_ok();
        assert_eq!(receipt["verdicts"], json!(["before_retention_horizon", verdict, verdict]));
        assert_eq!((&receipt["before_retention_horizon"], &receipt["rejected"]), (&json!(1), &json!(0)));
    }
    // Several versions in one commit share the answer, and a repetition gets it again.
    let twice = json!({ "buckets": [Usage::input(HOURS[0], 1).json(), Usage::input(HOURS[0], 2).json()] });
    for _ in 0..2 {
        let request = app.request(reqwest::Method::POST, "/v1/buckets").bearer(&device.token);
        let reply = request.header("idempotency-key", "twice").json(&twice).send().await;
        assert_eq!(reply.expect_ok()["verdicts"], json!(["before_retention_horizon", "before_retention_horizon"]));
    }
    app.drain().await;
    assert_eq!(app.ask(DAYS).await, ["2026-11-16 5", "2026-11-17 9", "2026-11-20 9"]);
}

#[tokio::test]
async fn a_post_that_is_on_its_way_when_the_horizon_is_raised_is_folded_before_its_day_is_frozen() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    // The post inserts into a day past retention, and then waits for a row of today.
    let held = hold(&app, "select from usage.bucket where hour_start = '2026-11-20T10:00Z' for update").await;
    let buckets =
        json!({ "buckets": [Usage::input("2026-11-16T12:00:00Z", 800).json(), Usage::input(HOURS[2], 6).json()] });
    let posting = async { app.post_buckets(&device.token, &buckets).await };
    let retention = app.retention(3);
    let passing = async {
        app.wait_for(WAITING).await;
        retention.run_pass().await.unwrap()
    };
    let releasing = async {
        app.wait_for(&format!("select pids.pid from ({WAITING}) pids (pid) offset 1")).await;
        release(held).await;
    };
    let (reply, pass, ()) = tokio::join!(posting, passing, releasing);
    assert_eq!(reply.expect_ok()["verdicts"], json!(["inserted", "updated"]));
    assert_eq!(pass, Pass { users: 0, buckets: 0, pending: 1 }, "its event was seen");
    app.drain().await;
    assert_eq!(app.retention(3).run_pass().await.unwrap().buckets, 2);
    assert_eq!(app.ask(DAYS).await, ["2026-11-16 805", "2026-11-17 5", "2026-11-20 6"]);
}

#[tokio::test]
async fn a_post_that_comes_while_the_horizon_is_raised_waits_and_sees_it() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    let raise = "lock table usage.horizon in access exclusive mode;
        insert into usage.horizon select user_id, '2026-11-16T23:00Z' from account.user";
    let mut raising = hold(&app, raise).await;
    let usage = Usage::input(HOURS[0], 6);
    let posting = async { post(&app, &device, &usage).await };
    let committing = async {
        app.wait_for(WAITING).await;
        run(&mut raising, "commit").await;
    };
    let (verdict, ()) = tokio::join!(posting, committing);
    assert_eq!(verdict, "before_retention_horizon");
}

#[tokio::test]
async fn a_long_reader_of_horizons_puts_retention_off_and_holds_up_no_post() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    // As a dump of the database does from its beginning to its end.
    let reading = hold(&app, "lock table usage.horizon in access share mode").await;
    let retention = app.retention(3);
    let posting = async {
        app.wait_for(WAITING).await;
        post(&app, &device, &Usage::input(HOURS[2], 6)).await
    };
    let (pass, verdict) = tokio::join!(retention.run_pass(), posting);
    assert_eq!(verdict, "updated");
    assert_eq!(pass.unwrap_err().code(), Code::DatabaseConflict);
    release(reading).await;
    app.drain().await;
    assert_eq!(retention.run_pass().await.unwrap().buckets, 1);
}

#[tokio::test]
async fn a_change_of_an_old_bucket_that_commits_during_the_removal_is_folded_first() {
    let app = TestApp::start().await;
    three_days(&app).await;
    // As a rollback or an erasure does: rows that are there already change, and an event says so.
    let mut changing = hold(
        &app,
        "update usage.bucket set input_tokens = 900 where hour_start = '2026-11-16T22:30Z';
         insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select user_id, 'bucket_changed', '2026-11-16', hour_start, hour_start, 'bulk', user_id
         from usage.bucket where hour_start = '2026-11-16T22:30Z'",
    )
    .await;
    let retention = app.retention(3);
    let committing = async {
        app.wait_for(WAITING).await;
        run(&mut changing, "commit").await;
    };
    let (pass, ()) = tokio::join!(retention.run_pass(), committing);
    assert_eq!(pass.unwrap(), Pass { users: 0, buckets: 0, pending: 1 });
    app.drain().await;
    app.retention(3).run_pass().await.unwrap();
    assert_eq!(app.ask(DAYS).await, ["2026-11-16 900", "2026-11-17 5", "2026-11-20 5"]);
}

#[tokio::test]
async fn retention_waits_for_a_fold_and_a_fold_is_locked_out_by_retention() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    let held = hold(&app, &format!("select pg_advisory_xact_lock({FOLD_LOCK})")).await;
    let retention = app.retention(3);
    let releasing = async {
        app.wait_for(WAITING).await;
        assert_eq!(app.ask(BUCKETS).await.len(), 3);
        release(held).await;
    };
    let (pass, ()) = tokio::join!(retention.run_pass(), releasing);
    assert_eq!(pass.unwrap().buckets, 1);

    // Of a day that stays.
    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 70)]).await;
    let held = hold(&app, "select from usage.bucket where hour_start < '2026-11-17' for update").await;
    let retention = app.retention(2);
    let meanwhile = async {
        app.wait_for(WAITING).await;
        assert!(app.relay().run_round().await.unwrap().locked_out);
        release(held).await;
    };
    let (pass, ()) = tokio::join!(retention.run_pass(), meanwhile);
    assert_eq!(pass.unwrap().buckets, 1);
}

#[tokio::test]
async fn retention_that_is_switched_off_removes_nothing_and_raises_no_horizon() {
    let app = TestApp::start().await;
    three_days(&app).await;
    let retention = app.retention(3);
    app.switches().set(Switch::Retention, false);
    assert_eq!(retention.run_pass().await.unwrap(), Pass::default());
    assert_eq!((app.ask(BUCKETS).await.len(), app.ask("select '' from usage.horizon").await.len()), (3, 0));
    app.switches().set(Switch::Retention, true);
    assert_eq!(retention.run_pass().await.unwrap().users, 1);
}

#[tokio::test]
async fn a_removal_that_fails_leaves_the_horizon_and_the_next_pass_makes_it_good() {
    let app = TestApp::start().await;
    let device = three_days(&app).await;
    app.tell("revoke delete on usage.bucket from halfhour_worker").await;
    app.retention(3).run_pass().await.unwrap_err();
    assert_eq!((app.ask(BUCKETS).await.len(), app.ask(FROZEN).await), (3, vec!["never".to_owned()]));
    assert_eq!(post(&app, &device, &Usage::input(HOURS[0], 6)).await, "before_retention_horizon");
    app.tell("grant delete on usage.bucket to halfhour_worker").await;
    assert_eq!(app.retention(3).run_pass().await.unwrap().buckets, 1);
    assert_eq!(app.ask(DAYS).await, ["2026-11-16 5", "2026-11-17 5", "2026-11-20 5"]);
}

#[tokio::test]
async fn what_was_removed_before_a_pass_failed_is_in_the_audit() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    for hour in ["2026-06-01T10:00:00Z", "2026-06-02T10:00:00Z", "2026-09-01T10:00:00Z"] {
        app.post_usage(&device, &[Usage::input(hour, 5)]).await;
    }
    app.drain().await;
    app.tell(
        "create function usage.keep() returns trigger language plpgsql as $$ begin raise exception 'kept'; end $$;
         create trigger keep before delete on usage.bucket for each row
         when (old.hour_start > '2026-08-01') execute function usage.keep()",
    )
    .await;
    app.retention(3).run_pass().await.unwrap_err();
    assert_eq!(app.ask(BUCKETS).await, ["2026-09-01T10:00:00+00:00"]);
    let entry = format!(r#"{} {{"before": "2026-07-02", "buckets": 2, "retention_days": 3}}"#, me.user_id);
    assert_eq!(app.ask(AUDITED).await, [entry]);
}

#[tokio::test]
async fn a_user_in_a_zone_that_does_not_exist_any_more_keeps_its_buckets_and_holds_up_nobody() {
    let app = TestApp::start().await;
    three_days(&app).await;
    let other = app.user("other", "UTC").await;
    let device = app.device(&other, "laptop").await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    app.tell("update rollup.user_state set time_zone = 'Mars/Base' where time_zone = 'Europe/Berlin'").await;
    let pass = app.retention(3).run_pass().await.unwrap();
    assert_eq!(pass, Pass { users: 1, buckets: 2, pending: 0 });
    let left = "select format('%s %s', name, count(*)) from usage.bucket join account.user using (user_id)
                group by name order by name";
    assert_eq!(app.ask(left).await, ["me 3", "other 1"]);
    let passed_over = app.ask("select user_id::text from account.user where name = 'me'").await.remove(0);
    let line = line_with(&format!("[{passed_over}]"));
    assert_eq!(line["level"], "WARN", "{line}");
}

#[tokio::test]
async fn years_are_removed_a_month_at_a_time_and_each_user_by_itself() {
    let app = TestApp::start().await;
    let mut users = Vec::new();
    for name in ["ann", "bob"] {
        let user = app.user(name, "UTC").await;
        let device = app.device(&user, "laptop").await;
        users.push((user, device));
    }
    for (user, device) in &users {
        app.tell(&format!(
            "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
                 cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
                 request_count, observed_at, changed_at, stamped)
             select '{}', '2024-11-20T12:00Z'::timestamptz + interval '1 day' * n, '{}', 'codex', 'm',
                 1, 0, 0, 0, 0, 0, 0, 1, now(), now(), true
             from generate_series(0, 730) n",
            user.user_id, device.device_id
        ))
        .await;
        app.replay(user, "2024-11-20T00:00:00Z", "2026-11-20T23:30:00Z").await;
    }
    app.drain().await;
    let pass = app.retention(30).run_pass().await.unwrap();
    assert_eq!(pass, Pass { users: 2, buckets: 1400, pending: 0 });
    assert_eq!(app.ask("select distinct frozen_before::text from rollup.user_state").await, ["2026-10-21"]);
    assert_eq!(app.ask("select sum(bucket_count)::text from rollup.daily").await, ["1462"]);
}
