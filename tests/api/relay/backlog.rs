//! A long outbox, of what waits and of what was consumed and is not vacuumed yet: neither delays what is live.

use chrono::TimeDelta;
use halfhour::features::dashboard_rollup::Round;

use super::{INPUT, hold, one_user, release};
use crate::support::TestApp;
use crate::support::rollups::Usage;

const NINE: &str = "2026-11-20T09:00:00Z";

/// Entries that scans have read of the index by which events are claimed. A connection tells its counts when it ends.
async fn entries_read(app: &TestApp) -> i64 {
    app.cut_connections("worker").await;
    let read = "select idx_tup_read::text from pg_stat_all_indexes where indexrelname = 'outbox_lane_part_id_idx'";
    app.ask(read).await[0].parse().unwrap()
}

/// So many events of users who have nothing to fold, in one lane.
fn events(lane: &str, count: u32) -> String {
    format!(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select md5((n / 1000)::text)::uuid, 'bucket_changed', '2026-11-10', '2026-11-10T00:00Z', '2026-11-10T23:30Z',
             '{lane}', md5(n::text)::uuid
         from generate_series(1, {count}) n"
    )
}

#[tokio::test]
async fn a_bulk_backlog_of_a_million_delays_a_post_by_no_more_than_a_round_and_is_not_read_for_it() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.tell(&events("bulk", 1_000_000)).await;
    for (number, statistics) in [(1, "none, as right after it came"), (2, "its own")] {
        let before = entries_read(&app).await;
        app.post_usage(&device, &[Usage::input(NINE, number)]).await;
        let round = app.relay().run_round().await.unwrap();
        assert_eq!(round, Round { consumed: 201, more: true, ..Round::default() }, "{statistics}");
        assert_eq!(app.ask(INPUT).await, [format!("2026-11-20 {number}")]);
        assert_eq!(app.ask("select count(*)::text from usage.outbox where lane = 'live'").await, ["0"]);
        let read = entries_read(&app).await - before;
        // The first of each of 65 places, those that fill a round to find its parts, and once more to claim them. What the
        // round before consumed may be met by each of the three, as long as somebody's snapshot keeps it.
        assert!(read <= 65 + 2 * 201 + 3 * 201, "statistics: {statistics}; {read} entries were read");
        app.tell("analyze usage.outbox").await;
    }
    assert_eq!(app.ask("select count(*)::text from usage.outbox").await, ["999600"]);
}

#[tokio::test]
async fn what_was_consumed_and_is_not_vacuumed_is_read_again_once_a_minute_and_not_in_every_round() {
    let app = TestApp::start().await;
    // Somebody's long transaction: what is consumed stays in the index, and is read by every scan that meets it.
    app.tell("alter table usage.outbox set (autovacuum_enabled = false)").await;
    let held = hold(&app, "set transaction isolation level repeatable read; select from account.user").await;
    let mut now = app.clock.now();
    let mut after = async |seconds: i64, waiting: &str| {
        now += TimeDelta::seconds(seconds);
        app.clock.set(now);
        app.tell(waiting).await;
        let before = entries_read(&app).await;
        let round = app.relay().run_round().await.unwrap();
        (round.consumed, entries_read(&app).await - before)
    };
    let many = events("live", 5000);
    for _ in 0..4 {
        assert_eq!(after(11, &many).await.0, 5000);
    }
    let one = events("live", 1);
    let (consumed, read) = after(11, &one).await;
    assert!(consumed == 1 && read < 5010, "a round back, and not four: {consumed} consumed, {read} read");
    for seconds in [5, 6] {
        let (consumed, read) = after(seconds, &one).await;
        assert!(consumed == 1 && read <= 3 * 5, "{consumed} consumed, {read} read");
    }
    let (consumed, read) = after(11, &one).await;
    assert!(consumed == 1 && read > 20_000, "the full scan: {consumed} consumed, {read} read");
    let (consumed, read) = after(1, &one).await;
    assert!(consumed == 1 && read <= 3 * 5, "{consumed} consumed, {read} read");
    release(held).await;
}

#[tokio::test]
async fn what_has_waited_longest_is_in_the_next_round_however_much_waits_in_parts_before_its_own() {
    let app = TestApp::start().await;
    app.tell(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id, created_at)
         select u.id, 'bucket_changed', '2026-11-10', '2026-11-10T00:00Z', '2026-11-10T23:30Z', 'live', u.id, now() - u.age
         from (values (uuid '00000000-0000-0000-0000-000000000000', interval '1 second', 6000),
             (uuid '00000000-0000-0000-0000-00000000003f', interval '1 minute', 1)) u (id, age, events),
             generate_series(1, u.events)",
    )
    .await;
    let round = app.relay().run_round().await.unwrap();
    assert_eq!(round, Round { consumed: 5000, more: true, ..Round::default() });
    assert_eq!(app.ask("select part || ' ' || count(*) from usage.outbox group by part").await, ["0 1001"]);
}
