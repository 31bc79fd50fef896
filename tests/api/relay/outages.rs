//! What is no event's fault: outages end a round, and count against nobody. And what is: one poison among a thousand.

use std::time::Duration;

use chrono::TimeDelta;
use halfhour::features::dashboard_rollup::Round;
use halfhour::kernel::problem::Code;

use super::{EVENTS, INPUT, WAITING, hold, one_user, poison, release};
use crate::support::rollups::Usage;
use crate::support::{TestApp, line_with};

#[tokio::test]
async fn an_outage_counts_against_no_event() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;

    let held = hold(&app, "lock table rollup.daily in access exclusive mode").await;
    let folding = async { app.relay().run_round().await };
    let meanwhile = async {
        let backend = app.wait_for(WAITING).await;
        app.tell(&format!("select pg_terminate_backend({backend}, 5000)")).await;
    };
    let (round, ()) = tokio::join!(folding, meanwhile);
    assert_eq!(round.unwrap_err().code(), Code::DatabaseUnavailable);
    release(held).await;

    app.tell("alter table rollup.daily rename to mislaid").await;
    assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::Internal);
    app.tell("alter table rollup.mislaid rename to daily").await;
    app.tell("revoke insert on rollup.daily from halfhour_worker").await;
    app.relay().run_round().await.unwrap_err();
    app.tell("grant insert on rollup.daily to halfhour_worker").await;

    assert_eq!(app.ask(EVENTS).await, ["0 "]);
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

#[tokio::test]
async fn a_relay_whose_connection_is_killed_between_fold_and_commit_has_changed_nothing() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    // The fold is done; the events that it consumes are held.
    let held = hold(&app, "select from usage.outbox for update").await;
    let folding = async { app.relay().run_round().await };
    let killing = async {
        let backend = app.wait_for(WAITING).await;
        let at_work = format!("select query from pg_stat_activity where pid = {backend}");
        assert!(app.ask(&at_work).await[0].contains("delete from usage.outbox"));
        app.tell(&format!("select pg_terminate_backend({backend}, 5000)")).await;
    };
    let (round, ()) = tokio::join!(folding, killing);
    assert_eq!(round.unwrap_err().code(), Code::DatabaseUnavailable);
    release(held).await;
    assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await), (vec![], vec!["0 ".to_owned()]));
    app.drain().await;
    assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await), (vec!["2026-11-20 5".to_owned()], vec![]));
}

#[tokio::test]
async fn a_full_disk_counts_against_no_event() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.tell(
        "create function rollup.fill() returns trigger language plpgsql as
         $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$;
         create trigger fill before insert on rollup.daily for each row execute function rollup.fill()",
    )
    .await;
    // More often than an event may fail.
    for _ in 0..11 {
        assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::DatabaseUnavailable);
    }
    assert_eq!(app.ask(EVENTS).await, ["0 "]);
    app.tell("drop trigger fill on rollup.daily").await;
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

#[tokio::test]
async fn a_lock_that_is_not_to_be_had_counts_against_no_event() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    let held = hold(&app, "lock table rollup.daily in access exclusive mode").await;
    // Nothing sleeps here: PostgreSQL gives up waiting after the pool's five seconds.
    let round = tokio::time::timeout(Duration::from_secs(20), app.relay().run_round()).await.unwrap();
    assert_eq!(round.unwrap_err().database_error().unwrap().as_database_error().unwrap().code().unwrap(), "55P03");
    release(held).await;
    assert_eq!(app.ask(EVENTS).await, ["0 "]);
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

#[tokio::test]
async fn a_round_that_failed_says_on_its_line_what_it_failed_with_and_one_that_set_poison_aside_that_it_was_committed()
{
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    for (sqlstate, status, upstream_status, attribution) in [
        ("53100", 503, 503, "UPSTREAM"),
        ("57014", 504, 504, "UPSTREAM"),
        ("40001", 503, 409, "APPLICATION"),
        ("55P03", 503, 500, "UPSTREAM"),
        ("42501", 500, 500, "UPSTREAM"),
    ] {
        let mark = app.refuse_inserts("rollup.daily", sqlstate).await;
        app.relay().run_round().await.unwrap_err();
        let line = line_with(&mark);
        assert_eq!((&line["function"], &line["stage"]), (&"relay_round".into(), &"fold".into()), "{line}");
        assert_eq!((&line["status"], &line["upstream_status"]), (&status.into(), &upstream_status.into()), "{line}");
        assert_eq!(line["attribution"], attribution, "{line}");
    }
    assert_eq!(app.ask(EVENTS).await, ["0 "]);

    let mark = app.refuse_inserts("rollup.daily", "23514").await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { failed: 1, ..Round::default() });
    let line = line_with(&mark);
    assert_eq!((&line["status"], &line["upstream_status"]), (&500.into(), &200.into()), "{line}");
    assert_eq!(line["attribution"], "APPLICATION", "{line}");
}

#[tokio::test]
async fn a_rebuild_that_takes_too_long_delays_trackers_posts_by_one_round_and_is_not_lost() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let large = app.user("large", "UTC").await;
    let its_device = app.device(&large, "laptop").await;
    app.post_usage(&its_device, &[Usage::input("2026-11-19T09:00:00Z", 70)]).await;
    app.drain().await;
    app.tell(&format!(
        "create function rollup.dawdle() returns trigger language plpgsql as
         $$ begin raise exception 'canceling statement due to statement timeout' using errcode = '57014'; end $$;
         create trigger dawdle before update on rollup.user_state for each row
         when (new.user_id = '{}') execute function rollup.dawdle()",
        large.user_id
    ))
    .await;
    app.want_zone(&large, "Asia/Tokyo").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;

    assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });
    assert_eq!(app.relay().run_round().await.unwrap(), Round::default(), "it rests");
    assert_eq!(app.ask(EVENTS).await, ["0 "], "the rebuild waits, and is not to blame");
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::DeadlineExceeded);

    app.tell("drop trigger dawdle on rollup.user_state").await;
    app.clock.set(app.clock.now() + TimeDelta::minutes(2));
    app.drain().await;
    let zone = format!("select time_zone from rollup.user_state where user_id = '{}'", large.user_id);
    assert_eq!((app.ask(&zone).await, app.ask(EVENTS).await), (vec!["Asia/Tokyo".to_owned()], vec![]));
}

#[tokio::test]
async fn large_events_that_together_take_too_long_come_through_a_few_at_a_time() {
    let app = TestApp::start().await;
    let mut users = Vec::new();
    for number in 0..4 {
        let user = app.user(&format!("large {number}"), "UTC").await;
        let device = app.device(&user, "laptop").await;
        app.post_usage(&device, &[Usage::input("2026-11-19T09:00:00Z", 70)]).await;
        users.push(user);
    }
    app.drain().await;
    for user in &users {
        app.want_zone(user, "Asia/Tokyo").await;
        app.replay(user, "2026-11-19T00:00:00Z", "2026-11-19T23:30:00Z").await;
    }
    // A statement that rebuilds more than one of them does not come to its end.
    app.tell(
        "create function rollup.dawdle() returns trigger language plpgsql as
         $$ begin
             if (select count(*) from rebuilt) > 1 then
                 raise exception 'canceling statement due to statement timeout' using errcode = '57014';
             end if;
             return null;
         end $$;
         create trigger dawdle after update on rollup.user_state referencing new table as rebuilt
         for each statement execute function rollup.dawdle()",
    )
    .await;
    for _ in 0..12 {
        if let Err(problem) = app.relay().drain().await {
            assert_eq!(problem.code(), Code::DeadlineExceeded);
        }
        app.clock.set(app.clock.now() + TimeDelta::minutes(16));
    }
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
    assert_eq!(app.ask("select distinct time_zone from rollup.user_state").await, ["Asia/Tokyo"]);
}

#[tokio::test]
async fn a_large_event_that_has_failed_or_is_parked_rests_like_one_that_has_not() {
    let app = TestApp::start().await;
    let large = app.user("large", "UTC").await;
    let device = app.device(&large, "laptop").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T09:00:00Z", 70)]).await;
    app.drain().await;
    app.tell(
        "create function rollup.dawdle() returns trigger language plpgsql as
         $$ begin raise exception 'canceling statement due to statement timeout' using errcode = '57014'; end $$;
         create trigger dawdle before update on rollup.user_state for each row
         when (new.time_zone <> old.time_zone) execute function rollup.dawdle()",
    )
    .await;
    app.want_zone(&large, "Asia/Tokyo").await;
    for (number, state) in [(1, "retry_at = '2026-11-20T11:59:00Z'"), (2, "parked_at = now()")] {
        app.tell(&format!("update usage.outbox set attempts = 9, {state}")).await;
        app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", number)]).await;
        assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::DeadlineExceeded, "{state}");
        assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, ..Round::default() }, "{state}");
        assert_eq!(app.ask(INPUT).await, ["2026-11-19 70".to_owned(), format!("2026-11-20 {number}")]);
        assert_eq!(app.ask("select topic || ' ' || attempts from usage.outbox").await, ["rebuild 9"], "{state}");
        app.clock.set(app.clock.now() + TimeDelta::minutes(5));
    }
    app.tell("drop trigger dawdle on rollup.user_state").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:30:00Z", 5)]).await;
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new(), "and heals");
    assert_eq!(app.ask("select time_zone from rollup.user_state").await, ["Asia/Tokyo"]);
}

#[tokio::test]
async fn parked_events_are_tried_together_after_a_good_fold_and_hold_up_nobody() {
    let app = TestApp::start().await;
    let (bad, bad_device) = one_user(&app).await;
    let good = app.user("good", "UTC").await;
    let good_device = app.device(&good, "laptop").await;
    app.tell(&format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, attempts, parked_at)
         select user_id, 'bucket_changed', '2026-11-20', '2026-11-20T09:00Z', '2026-11-20T09:00Z', 'live', user_id, 10, now()
         from account.user, generate_series(1, 100);
         create sequence rollup.tries;
         create function rollup.refuse() returns trigger language plpgsql security definer as
         $$ begin perform nextval('rollup.tries'); raise exception 'no row for you'; end $$;
         create trigger refuse before insert or update on rollup.daily for each row
         when (new.user_id = '{}' and new.day = '2026-11-20') execute function rollup.refuse()",
        bad.user_id
    ))
    .await;
    let tries = "select last_value::text from rollup.tries";

    app.post_usage(&bad_device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { failed: 1, ..Round::default() });
    assert_eq!(app.ask(tries).await, ["1"], "where a new event fails, no parked one is tried");
    for device in [&bad_device, &good_device] {
        app.post_usage(device, &[Usage::input("2026-11-19T10:00:00Z", 70)]).await;
    }
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 102, ..Round::default() });
    assert_eq!(app.ask(tries).await, ["2"], "a hundred are tried at once");
    assert_eq!(app.ask(INPUT).await, ["2026-11-19 140"]);
    app.tell("drop trigger refuse on rollup.daily").await;
    app.post_usage(&bad_device, &[Usage::input("2026-11-20T09:00:00Z", 6)]).await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 101, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-19 140", "2026-11-20 6"]);
}

#[tokio::test]
async fn of_a_thousand_events_only_the_poisonous_one_fails() {
    let app = TestApp::start().await;
    let (me, _) = one_user(&app).await;
    poison(&app, &me).await;
    app.tell(&format!(
        "create temp table who as select case when n = 617 then '{}'::uuid else gen_random_uuid() end as id
         from generate_series(1, 1000) n;
         insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, observed_at, changed_at, stamped)
         select id, '2026-11-20T09:00Z', id, 'codex', 'm', 1, 0, 0, 0, 0, 0, 0, 1, now(), now(), true from who;
         insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select id, 'bucket_changed', '2026-11-20', '2026-11-20T09:00Z', '2026-11-20T09:00Z', 'live', id from who",
        me.user_id
    ))
    .await;
    let round = app.relay().run_round().await.unwrap();
    assert_eq!(round, Round { consumed: 999, failed: 1, ..Round::default() });
    assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await), (vec!["2026-11-20 999".into()], vec!["1 P0001".into()]));
}
