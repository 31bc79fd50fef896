//! Replays and erasures: days that are folded again because someone says so.

use chrono::{DateTime, Utc};
use halfhour::features::dashboard_rollup::Round;
use halfhour::kernel::bucket::Source;
use halfhour::kernel::database::{Access, Mode};
use halfhour::kernel::usage::outbox::{self, ErasedScope};

use super::{EVENTS, INPUT, WAITING, hold, one_user, release};
use crate::support::rollups::Usage;
use crate::support::{TestApp, TestUser, context, instant};

const HOURS: [&str; 3] = ["2026-11-10T10:00:00Z", "2026-11-17T10:00:00Z", "2026-11-18T10:00:00Z"];

/// What the kernel announces when an owner has removed buckets.
async fn announce_erasure(app: &TestApp, scope: ErasedScope) {
    let mut tx = app.pools.read.begin(&context(), Access::Users(&[scope.user_id]), Mode::ReadWrite).await.unwrap();
    outbox::publish_erased(&mut tx, scope, &context()).await.unwrap();
    tx.commit().await.unwrap();
}

fn scope(user: &TestUser, first_hour: Option<&str>, last_hour: Option<&str>) -> ErasedScope {
    let at = |hour: Option<&str>| -> Option<DateTime<Utc>> { hour.map(instant) };
    let (first_hour, last_hour) = (at(first_hour), at(last_hour));
    ErasedScope { user_id: user.user_id, device_id: None, source: None, first_hour, last_hour }
}

#[tokio::test]
async fn a_replay_heals_rows_that_are_missing_too_many_or_different_and_none_outside_of_its_window() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    app.tell(
        "delete from rollup.daily where day = '2026-11-17';
         update rollup.daily set input_tokens = 99 where day in ('2026-11-18', '2026-11-10');
         insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, bucket_count)
         select user_id, '2026-11-14', device_id, 'amp', 'ghost', 7, 0, 0, 0, 0, 0, 0, 0, 1 from rollup.daily limit 1",
    )
    .await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-10 99", "2026-11-14 7", "2026-11-18 99"]);
    let events = app.replay(&me, "2026-11-11T00:00:00Z", "2026-11-18T12:00:00Z").await;
    assert_eq!(events, 2, "a week an event");
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-10 99", "2026-11-17 5", "2026-11-18 5"]);
    assert_eq!(app.ask("select version::text from rollup.user_state").await, ["2"]);
}

#[tokio::test]
async fn a_replay_takes_whole_local_days_and_a_window_without_anything_nothing() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-17T23:00:00Z", 5), Usage::input("2026-11-18T22:30:00Z", 70)]).await;
    app.drain().await;
    app.tell("update rollup.daily set input_tokens = 1").await;
    // The last half hour of 18 November in Berlin.
    app.replay(&me, "2026-11-18T22:30:00Z", "2026-11-18T22:30:00Z").await;
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-18 75"]);
    app.replay(&me, "2020-01-01T00:00:00Z", "2020-01-01T00:00:00Z").await;
    assert_eq!(app.replay(&me, "2026-11-18T22:30:00Z", "2026-11-18T22:00:00Z").await, 0, "the end is before the start");
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });
}

#[tokio::test]
async fn what_is_posted_during_a_replay_is_folded_after_it() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[2], 5)]).await;
    app.drain().await;
    app.replay(&me, HOURS[2], HOURS[2]).await;
    let held = hold(&app, "select from usage.outbox for update").await;
    let replaying = async { app.relay().run_round().await.unwrap() };
    let meanwhile = async {
        app.wait_for(WAITING).await;
        app.post_usage(&device, &[Usage::input(HOURS[2], 700)]).await;
        release(held).await;
    };
    let (round, ()) = tokio::join!(replaying, meanwhile);
    assert_eq!(round.consumed, 1);
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-18 700"]);
}

#[tokio::test]
async fn a_replay_and_a_late_event_change_no_frozen_day() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    app.retention(3).run_pass().await.unwrap();
    assert_eq!(app.ask("select count(*)::text from usage.bucket").await, ["2"]);
    let rows = app.ask(super::ROWS).await;
    app.replay(&me, "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z").await;
    app.tell(&format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         values ('{0}', 'bucket_changed', '2026-11-10', '{1}', '{1}', 'live', '{0}')",
        me.user_id, HOURS[0]
    ))
    .await;
    app.drain().await;
    assert_eq!(app.ask(super::ROWS).await, rows);
}

#[tokio::test]
async fn an_erasure_takes_what_it_covers_from_frozen_days_too_and_nothing_else() {
    let app = TestApp::start().await;
    let (me, laptop) = one_user(&app).await;
    let phone = app.device(&me, "phone").await;
    let (other, other_device) = (app.user("other", "Europe/Berlin").await, "desk");
    let other_device = app.device(&other, other_device).await;
    for device in [&laptop, &phone, &other_device] {
        let claude = Usage { source: "claude-code", ..Usage::input(HOURS[0], 40) };
        app.post_usage(device, &[Usage::input(HOURS[0], 1), claude, Usage::input(HOURS[2], 500)]).await;
    }
    app.drain().await;
    app.retention(3).run_pass().await.unwrap();
    let frozen = |user: &TestUser| {
        format!(
            "select format('%s %s', source, sum(input_tokens)) from rollup.daily
             where user_id = '{}' and day < '2026-11-17' group by source order by source",
            user.user_id
        )
    };
    let version = || async {
        app.ask(&format!("select version::text from rollup.user_state where user_id = '{}'", me.user_id)).await
    };
    let (mine, before) = (frozen(&me), version().await);
    assert_eq!(app.ask(&mine).await, ["claude-code 80", "codex 2"]);

    // A part of a day: of what is left of it nobody knows any more what it was.
    announce_erasure(&app, scope(&me, Some("2026-11-09T23:30:00Z"), Some("2026-11-10T22:30:00Z"))).await;
    announce_erasure(&app, scope(&me, Some("2026-11-09T23:00:00Z"), Some("2026-11-10T22:00:00Z"))).await;
    app.drain().await;
    assert_eq!((app.ask(&mine).await.len(), version().await), (2, before.clone()));
    // The whole day in Berlin, of one device and one tool.
    let day = scope(&me, Some("2026-11-09T23:00:00Z"), Some("2026-11-10T22:30:00Z"));
    announce_erasure(&app, ErasedScope { device_id: Some(phone.device_id), source: Source::parse("codex"), ..day })
        .await;
    app.drain().await;
    assert_eq!(app.ask(&mine).await, ["claude-code 80", "codex 1"]);
    assert_ne!(version().await, before);
    announce_erasure(&app, ErasedScope { source: Source::parse("claude-code"), ..scope(&me, None, None) }).await;
    app.drain().await;
    assert_eq!(app.ask(&mine).await, ["codex 1"]);
    announce_erasure(&app, scope(&me, None, None)).await;
    app.drain().await;
    assert_eq!(app.ask(&mine).await, Vec::<String>::new());
    // Days that are not frozen are folded, so that what still has buckets stays; and other users are other users.
    let sum = format!("select sum(input_tokens)::text from rollup.daily where user_id = '{}'", me.user_id);
    assert_eq!(app.ask(&sum).await, ["1000"]);
    assert_eq!(app.ask(&frozen(&other)).await, ["claude-code 40", "codex 1"]);
}

#[tokio::test]
async fn an_erasure_and_a_change_of_zone_in_one_round_take_the_frozen_day_that_the_owner_saw() {
    let app = TestApp::start().await;
    let (before, after) = (app.user("before", "Europe/Berlin").await, app.user("after", "Europe/Berlin").await);
    for user in [&before, &after] {
        let device = app.device(user, "laptop").await;
        app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    }
    app.drain().await;
    app.retention(3).run_pass().await.unwrap();
    assert_eq!(app.ask(INPUT).await, ["2026-11-10 10", "2026-11-17 10", "2026-11-18 10"]);
    // The 10th in the zone that the owner was in at the time: Berlin, and then Sao Paulo.
    let berlin = (Some("2026-11-09T23:00:00Z"), Some("2026-11-10T22:30:00Z"));
    announce_erasure(&app, scope(&before, berlin.0, berlin.1)).await;
    app.want_zone(&before, "America/Sao_Paulo").await;
    let sao_paulo = (Some("2026-11-10T03:00:00Z"), Some("2026-11-11T02:30:00Z"));
    app.want_zone(&after, "America/Sao_Paulo").await;
    announce_erasure(&app, scope(&after, sao_paulo.0, sao_paulo.1)).await;
    assert_eq!(app.relay().run_round().await.unwrap().consumed, 4);
    assert_eq!(app.ask(INPUT).await, ["2026-11-17 10", "2026-11-18 10"]);
}

#[tokio::test]
async fn an_event_that_commits_late_is_found_at_once_and_one_that_commits_much_later_by_the_full_scan() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    let event = format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         values ('{0}', 'bucket_changed', '2026-11-18', '2026-11-18T10:00Z', '2026-11-18T10:00Z', 'live', '{0}')",
        me.user_id
    );
    let (mut late, mut later) = (hold(&app, &event).await, hold(&app, &event).await);
    let mut now = instant("2026-11-20T12:00:00Z");
    let mut after = async |seconds: i64| {
        now += chrono::TimeDelta::seconds(seconds);
        app.clock.set(now);
        app.post_usage(&device, &[Usage::input(HOURS[2], now.timestamp().unsigned_abs())]).await;
        app.relay().run_round().await.unwrap().consumed
    };
    assert_eq!([after(0).await, after(5).await], [1, 1]);
    super::run(&mut late, "commit").await;
    assert_eq!(after(1).await, 2, "its id is smaller than those that were folded");
    assert_eq!([after(10).await, after(10).await], [1, 1]);
    super::run(&mut later, "commit").await;
    assert_eq!(after(10).await, 1, "a scan begins behind it by now");
    assert_eq!(after(40).await, 2, "but not the one that each minute looks at everything");
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
}
