//! Verification: every difference is found, and none that is only on its way.

use std::time::Duration;

use chrono::NaiveDate;
use halfhour::features::dashboard_rollup::{Drift, LISTED, NotCompared, Orphan, Report, UnknownSource, Window, verify};
use uuid::Uuid;

use crate::relay::{WAITING, hold, one_user, release};
use crate::support::rollups::Usage;
use crate::support::{TestApp, TestUser};

const HOURS: [&str; 3] = ["2026-11-16T22:30:00Z", "2026-11-16T23:00:00Z", "2026-11-20T10:00:00Z"];

async fn report(app: &TestApp, window: &Window) -> Report {
    verify(&app.pools.worker, window).await.unwrap()
}

async fn of_all(app: &TestApp) -> Report {
    report(app, &Window::default()).await
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_drained_rollup_is_clean_and_a_change_on_its_way_is_pending_and_no_drift() {
    let app = TestApp::start().await;
    assert_eq!(of_all(&app).await, Report::default());
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    let unfolded = of_all(&app).await;
    assert_eq!(unfolded, Report { users: 1, user_days: 3, pending: 3, ..Report::default() });
    assert!(unfolded.is_clean());
    app.drain().await;
    assert_eq!(of_all(&app).await, Report { users: 1, user_days: 3, ..Report::default() });
    app.post_usage(&device, &[Usage::input(HOURS[2], 6)]).await;
    assert_eq!(of_all(&app).await, Report { users: 1, user_days: 3, pending: 1, ..Report::default() });
    app.tell("update usage.outbox set parked_at = now()").await;
    assert_eq!(of_all(&app).await.pending, 1, "parked is not folded");
}

#[tokio::test]
async fn rows_that_are_missing_too_many_or_different_are_reported_by_day_with_both_totals() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    app.tell(
        "insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, bucket_count)
         select user_id, d::date, device_id, 'amp', 'ghost', 7, 0, 0, 0, 0, 0, 0, 0, 1
         from rollup.daily, (values ('2026-11-20'), ('2026-11-01')) v (d) where day = '2026-11-20';
         update rollup.daily set request_count = 1 where day = '2026-11-17';
         delete from rollup.daily where day = '2026-11-16'",
    )
    .await;
    let drift = |text,
                 [missing_rows, extra_rows, different_rows]: [i64; 3],
                 [expected_tokens, actual_tokens]: [i64; 2]| Drift {
        user_id: me.user_id,
        day: day(text),
        missing_rows,
        extra_rows,
        different_rows,
        expected_tokens,
        actual_tokens,
    };
    let all = [
        drift("2026-11-01", [0, 1, 0], [0, 7]),
        drift("2026-11-16", [1, 0, 0], [5, 0]),
        drift("2026-11-17", [0, 0, 1], [5, 5]),
        drift("2026-11-20", [0, 1, 0], [5, 12]),
    ];
    let found = of_all(&app).await;
    assert_eq!((found.user_days, found.drifted, found.drift.as_slice()), (4, 4, &all[..]));
    assert!(!found.is_clean());

    let window = Window { from: Some(day("2026-11-16")), to: Some(day("2026-11-17")), ..Window::default() };
    let found = report(&app, &window).await;
    assert_eq!((found.user_days, found.drift.as_slice()), (2, &all[1..3]), "both ends are inside");
    let nobody = Window { user_ids: Some(vec![Uuid::max()]), ..Window::default() };
    assert_eq!(report(&app, &nobody).await, Report { users: 1, ..Report::default() });

    app.replay(&me, "2026-11-01T00:00:00Z", "2026-11-20T23:30:00Z").await;
    app.drain().await;
    assert!(of_all(&app).await.is_clean());
}

#[tokio::test]
async fn users_and_devices_that_do_not_exist_are_reported_as_orphans() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[2], 5)]).await;
    app.drain().await;
    let (ghost, lost) = (Uuid::from_u128(7), Uuid::from_u128(8));
    for (table, hour) in [("usage.bucket", "hour_start"), ("rollup.daily", "day")] {
        let columns = if table == "usage.bucket" { "observed_at, changed_at, stamped" } else { "bucket_count" };
        let counts = "input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens,
            reasoning_tokens, unclassified_tokens, request_count";
        app.tell(&format!(
            "insert into {table} (user_id, {hour}, device_id, source, model, {counts}, {columns})
             select i.user_id, {hour}, i.device_id, source, model, {counts}, {columns}
             from {table}, (values ('{}'::uuid, '{lost}'::uuid), ('{ghost}', '{ghost}')) i (user_id, device_id)",
            me.user_id
        ))
        .await;
    }
    let found = of_all(&app).await;
    let mut orphans = found.orphans.clone();
    orphans.sort_by_key(|orphan| orphan.user_id);
    assert_eq!(
        orphans,
        [Orphan { user_id: ghost, device_id: None }, Orphan { user_id: me.user_id, device_id: Some(lost) },]
    );
    assert_eq!((found.users, found.orphaned, found.is_clean()), (2, 2, false));
    // Rollup rows alone are enough.
    app.tell(&format!("delete from usage.bucket where device_id in ('{ghost}', '{lost}')")).await;
    let found = of_all(&app).await;
    assert_eq!((found.orphaned, found.drifted), (2, 2));
}

#[tokio::test]
async fn buckets_of_tools_that_were_never_allowed_are_counted_and_the_first_hundred_tools_listed() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.request(reqwest::Method::POST, "/v1/sources/codex/retire").bearer(&me.operator).send().await.expect_ok();
    app.drain().await;
    assert!(of_all(&app).await.is_clean(), "what is retired is known");
    let plant = |from: u32, to: u32| {
        format!(
            "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
                 cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
                 request_count, observed_at, changed_at, stamped)
             select user_id, hour_start, device_id, 'planted-' || to_char(n, 'FM000'), model, 1, 0, 0, 0, 0, 0, 0, 0,
                 observed_at, changed_at, stamped
             from usage.bucket, generate_series({from}, {to}) n where source not like 'planted%'"
        )
    };
    app.tell(&plant(0, 0)).await;
    let found = of_all(&app).await;
    let planted = |name: &str| UnknownSource { user_id: me.user_id, source: name.to_owned(), buckets: 3 };
    assert_eq!((found.of_unknown_sources, found.is_clean()), (3, false));
    assert_eq!(found.unknown_sources, [planted("planted-000")]);
    app.tell(&plant(1, 150)).await;
    let found = of_all(&app).await;
    assert_eq!((found.of_unknown_sources, found.unknown_sources.len()), (453, LISTED));
    assert_eq!(found.unknown_sources[99], planted("planted-099"));

    let order = serde_json::json!({"action": "verify", "reason": "x", "from": "2026-11-01", "to": "2026-11-20"});
    let job = app.planned(&me.operator, &order).await;
    let drift = app.executed(&me.operator, &job).await["drift"].clone();
    assert_eq!((&drift["of_unknown_sources"], drift["unknown_sources"].as_array().unwrap().len()), (&453.into(), 100));
    let first = serde_json::json!({"user_id": me.user_id, "source": "planted-000", "buckets": 3});
    assert_eq!(drift["unknown_sources"][0], first);
}

#[tokio::test]
async fn a_fold_that_is_going_on_is_seen_whole_or_not_at_all() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    let held = hold(&app, "select from usage.outbox for update").await;
    let folding = async { app.relay().run_round().await.unwrap() };
    let verifying = async {
        app.wait_for(WAITING).await;
        assert_eq!(of_all(&app).await, Report { users: 1, user_days: 3, pending: 3, ..Report::default() });
        release(held).await;
    };
    tokio::join!(folding, verifying);
    assert_eq!(of_all(&app).await, Report { users: 1, user_days: 3, ..Report::default() });
}

#[tokio::test]
async fn frozen_days_are_not_compared_and_the_seam_is_right_in_every_zone() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &HOURS.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    app.retention(3).run_pass().await.unwrap();
    assert_eq!(of_all(&app).await, Report { users: 1, user_days: 2, ..Report::default() });
    for zone in ["America/Los_Angeles", "Pacific/Kiritimati", "Europe/Berlin"] {
        app.want_zone(&me, zone).await;
        assert_eq!(of_all(&app).await.pending, 2, "a rebuild is on its way");
        app.drain().await;
        assert_eq!(of_all(&app).await, Report { users: 1, user_days: 2, ..Report::default() }, "{zone}");
    }
}

#[tokio::test]
async fn a_report_counts_all_drift_and_lists_the_first_hundred() {
    let app = TestApp::start().await;
    app.tell(
        "insert into rollup.daily (user_id, day, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, bucket_count)
         select lpad(u::text, 32, '0')::uuid, '2026-01-01'::date + d, lpad(u::text, 32, '0')::uuid, 'amp', 'm',
             7, 0, 0, 0, 0, 0, 0, 0, 1
         from generate_series(1, 600) u, generate_series(0, 1) d",
    )
    .await;
    let found = of_all(&app).await;
    assert_eq!((found.users, found.user_days, found.drifted, found.orphaned), (600, 1200, 1200, 600));
    assert_eq!((found.drift.len(), found.orphans.len()), (LISTED, LISTED));
    assert_eq!(found.drift[99].user_id, Uuid::from_u128(0x50), "in the order of users and days");
}

/// Users in two zones, Berlin first, of whom a day each is folded.
async fn two_users_of_a_day(app: &TestApp) -> [TestUser; 2] {
    let (me, device) = one_user(app).await;
    let other = app.user("other", "Asia/Kathmandu").await;
    let other_device = app.device(&other, "laptop").await;
    for device in [&device, &other_device] {
        app.post_usage(device, &[Usage::input(HOURS[2], 5)]).await;
    }
    app.drain().await;
    [me, other]
}

#[tokio::test]
async fn a_user_in_a_zone_that_does_not_exist_any_more_is_not_compared_and_holds_up_nobody() {
    let app = TestApp::start().await;
    let [me, _] = two_users_of_a_day(&app).await;
    app.tell("update rollup.user_state set time_zone = 'Mars/Base' where time_zone = 'Europe/Berlin'").await;
    let not_compared_users = vec![NotCompared { user_id: me.user_id, code: "refused_22023".to_owned() }];
    let found = of_all(&app).await;
    assert_eq!(found, Report { users: 2, user_days: 1, not_compared: 1, not_compared_users, ..Report::default() });
    assert!(!found.is_clean());
}

#[tokio::test]
async fn a_user_who_cannot_be_compared_in_time_is_listed_and_the_database_goes_on_for_nobody() {
    let app = TestApp::start().await;
    let [me, other] = two_users_of_a_day(&app).await;
    app.tell(&format!(
        "create policy slow on rollup.daily as restrictive to halfhour_worker
         using (user_id <> '{}' or pg_sleep(60)::text is not null)",
        me.user_id
    ))
    .await;
    let user_ids = Some(vec![me.user_id, other.user_id]);
    let hasty = Window { user_ids, limit: Some(Duration::from_secs(2)), ..Window::default() };
    let not_compared_users = vec![NotCompared { user_id: me.user_id, code: "took_too_long".to_owned() }];
    let found = report(&app, &hasty).await;
    assert_eq!(found, Report { users: 2, user_days: 1, not_compared: 1, not_compared_users, ..Report::default() });
    let asleep = "select pid::text from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
    assert_eq!(app.ask(asleep).await, Vec::<String>::new());
    app.tell("drop policy slow on rollup.daily").await;
    assert_eq!(report(&app, &hasty).await, Report { users: 2, user_days: 2, ..Report::default() });
}
