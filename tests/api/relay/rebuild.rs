//! A change of zone goes through the relay: the whole user is rebuilt in one transaction, or not at all.

use halfhour::features::dashboard_rollup::Round;

use super::{EVENTS, INPUT, STATES, WAITING, hold, one_user, release};
use crate::support::rollups::Usage;
use crate::support::{TestApp, instant};

const ZONES: &str = "select time_zone || ' ' || version from rollup.user_state";
/// Half past eleven in the evening and half past midnight in Berlin.
const HOURS: [&str; 2] = ["2026-11-17T22:30:00Z", "2026-11-17T23:30:00Z"];

#[tokio::test]
async fn a_user_who_wants_another_zone_is_rebuilt_whole_and_served_in_the_old_one_until_then() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    let old = Usage::input("2024-02-29T23:30:00Z", 800);
    app.tell(&bucket(&me.user_id.to_string(), &device.device_id.to_string(), &old)).await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 5), Usage::input(HOURS[1], 70)]).await;
    app.replay(&me, "2024-02-01T00:00:00Z", "2024-03-31T00:00:00Z").await;
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2024-03-01 800", "2026-11-17 5", "2026-11-18 70"]);

    app.want_zone(&me, "America/Sao_Paulo").await;
    let reply = app.get(&me.viewer, "/v1/rollups?from=2026-11-17&to=2026-11-18").await;
    let reply = reply.expect_ok();
    assert_eq!((&reply["time_zone"], &reply["pending"]), (&"Europe/Berlin".into(), &true.into()));
    assert_eq!(reply["data"].as_array().unwrap().len(), 2);

    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2024-02-29 800", "2026-11-17 75"]);
    assert_eq!(app.ask(ZONES).await, ["America/Sao_Paulo 2"]);
    let reply = app.get(&me.viewer, "/v1/rollups?from=2026-11-17&to=2026-11-18").await;
    assert_eq!((&reply.json["time_zone"], &reply.json["pending"]), (&"America/Sao_Paulo".into(), &false.into()));
}

/// A bucket that no tracker may post any more.
fn bucket(user_id: &str, device_id: &str, usage: &Usage) -> String {
    format!(
        "insert into usage.bucket (user_id, hour_start, device_id, source, model, input_tokens, cache_read_tokens,
             cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, unclassified_tokens,
             request_count, observed_at, changed_at, stamped)
         values ('{user_id}', '{}', '{device_id}', '{}', '{}', {}, 0, 0, 0, 0, 0, 0, 0, now(), now(), true)",
        usage.hour_start, usage.source, usage.model, usage.counts[0]
    )
}

#[tokio::test]
async fn a_zone_with_the_same_days_changes_no_row_and_no_version() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 5), Usage::input(HOURS[1], 70)]).await;
    app.drain().await;
    let rows = app.ask(super::ROWS).await;
    app.want_zone(&me, "Europe/Paris").await;
    app.drain().await;
    assert_eq!((app.ask(super::ROWS).await, app.ask(ZONES).await), (rows, vec!["Europe/Paris 1".to_owned()]));
}

#[tokio::test]
async fn what_is_posted_while_its_user_is_rebuilt_ends_on_its_day_in_the_new_zone() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 5)]).await;
    app.drain().await;
    app.want_zone(&me, "America/Sao_Paulo").await;
    let held = hold(&app, "select from usage.outbox for update").await;
    let rebuilding = async { app.relay().run_round().await.unwrap() };
    let meanwhile = async {
        app.wait_for(WAITING).await;
        app.post_usage(&device, &[Usage::input(HOURS[1], 70)]).await;
        let reply = app.get(&me.viewer, "/v1/rollups").await;
        assert_eq!(reply.expect_ok()["time_zone"], "Europe/Berlin", "half a change is never seen");
        release(held).await;
    };
    let (round, ()) = tokio::join!(rebuilding, meanwhile);
    assert_eq!(round, Round { consumed: 1, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-17 5"]);
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-17 75"]);
}

#[tokio::test]
async fn posts_and_a_change_of_zone_in_one_round_are_folded_in_the_new_zone() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 5)]).await;
    app.drain().await;
    app.post_usage(&device, &[Usage::input(HOURS[1], 70)]).await;
    app.want_zone(&me, "Asia/Kathmandu").await;
    app.want_zone(&me, "Pacific/Chatham").await;
    app.post_usage(&device, &[Usage::input("2026-11-18T10:00:00Z", 900)]).await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 4, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-18 975"], "Chatham is 13 hours and three quarters ahead");
}

#[tokio::test]
async fn a_rebuild_that_cannot_be_leaves_the_rollup_as_it_was_and_fails_alone() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 5)]).await;
    app.drain().await;
    let states = app.ask(STATES).await;
    app.want_zone(&me, "Mars/Base").await;
    app.post_usage(&device, &[Usage::input(HOURS[1], 70)]).await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, failed: 1, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-17 5", "2026-11-18 70"], "the post was folded in the old zone");
    assert_eq!(app.ask(EVENTS).await, ["1 22023"]);
    assert_eq!(states.len(), 1);
    // Parked, it heals as soon as the user wants a zone that there is.
    app.tell("update usage.outbox set attempts = 10, parked_at = now()").await;
    app.want_zone(&me, "UTC").await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 2, ..Round::default() });
    assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await.len()), (vec!["2026-11-17 75".to_owned()], 0));
}

#[tokio::test]
async fn many_rebuilds_do_not_keep_a_post_waiting() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    for _ in 0..9 {
        app.want_zone(&me, "UTC").await;
    }
    app.post_usage(&device, &[Usage::input(HOURS[0], 5)]).await;
    let round = app.relay().run_round().await.unwrap();
    assert_eq!(round, Round { consumed: 5, more: true, ..Round::default() }, "four rebuilds, and the post");
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
}

#[tokio::test]
async fn rebuilds_that_are_tried_again_come_a_few_at_a_time_too() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    for _ in 0..9 {
        app.want_zone(&me, "UTC").await;
    }
    app.tell("update usage.outbox set attempts = 1, retry_at = '2026-11-20T11:00Z'").await;
    app.post_usage(&device, &[Usage::input(HOURS[0], 5)]).await;
    let round = app.relay().run_round().await.unwrap();
    assert_eq!(round, Round { consumed: 5, more: true, ..Round::default() }, "four rebuilds, and the post");
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_seam_at_the_horizon_is_neither_lost_nor_doubled_by_zones_to_the_west_and_to_the_east() {
    let app = TestApp::start().await;
    let me = app.user("me", "UTC").await;
    let device = app.device(&me, "laptop").await;
    let hours = ["2026-11-17T20:00:00Z", "2026-11-18T02:00:00Z", "2026-11-18T20:00:00Z"];
    app.post_usage(&device, &[(hours[0], 1), (hours[1], 20), (hours[2], 300)].map(|(hour, n)| Usage::input(hour, n)))
        .await;
    app.drain().await;
    app.clock.set(instant("2026-11-20T12:00:00Z"));
    assert_eq!(app.retention(2).run_pass().await.unwrap().buckets, 1);
    assert_eq!(app.ask(INPUT).await, ["2026-11-17 1", "2026-11-18 320"]);
    for (zone, expected) in [
        // In the west 02:00 UTC is the evening before, which is frozen: it counts to the first day that is not.
        ("America/Los_Angeles", vec!["2026-11-17 1", "2026-11-18 320"]),
        ("Pacific/Apia", vec!["2026-11-17 1", "2026-11-18 20", "2026-11-19 300"]),
        ("Pacific/Pago_Pago", vec!["2026-11-17 1", "2026-11-18 320"]),
        ("UTC", vec!["2026-11-17 1", "2026-11-18 320"]),
    ] {
        app.want_zone(&me, zone).await;
        app.drain().await;
        assert_eq!(app.ask(INPUT).await, expected, "{zone}");
    }
    // And a post to the seam is counted there.
    app.want_zone(&me, "America/Los_Angeles").await;
    app.drain().await;
    app.post_usage(&device, &[Usage::input("2026-11-18T03:00:00Z", 4000)]).await;
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-17 1", "2026-11-18 4320"]);
}
