//! Users are in parts, which relays fold beside each other: nothing is folded twice or left, and one part delays no other.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use halfhour::features::dashboard_rollup::{FOLD_LOCK, Relay, Round};
use halfhour::kernel::problem::Code;
use halfhour::kernel::usage::outbox::{Lane, PARTS, UserPart};
use serde_json::json;
use sqlx::postgres::PgArguments;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{EVENTS, INPUT, WAITING, hold, poison, release};
use crate::support::plans::{CUSTOM, buffers, explain, nodes, outline, scanned, sql, with};
use crate::support::rollups::Usage;
use crate::support::{NOW, TestApp, TestDevice, TestUser, instant};

const NINE: &str = "2026-11-20T09:00:00Z";
const FOLDED: &str = "select 'folded' where not exists (select from usage.outbox)";

/// Two relays in one server, each with half of the parts.
pub async fn two_relays() -> TestApp {
    TestApp::start_with(|settings| {
        settings.relays = 2;
        settings.pool_sizes.worker += 1;
    })
    .await
}

/// A new user whose part the relay with that number of two looks after, in none of the parts that are taken.
async fn user_of(app: &TestApp, relay: usize, taken: &mut BTreeSet<UserPart>) -> (TestUser, TestDevice) {
    loop {
        let user = app.user(&format!("user {}", Uuid::now_v7()), "UTC").await;
        let part = UserPart::of(user.user_id);
        if part.index() % 2 == relay && taken.insert(part) {
            let device = app.device(&user, "laptop").await;
            return (user, device);
        }
    }
}

/// One user of each of two relays.
async fn two_users(app: &TestApp) -> [(TestUser, TestDevice); 2] {
    let mut taken = BTreeSet::new();
    [user_of(app, 0, &mut taken).await, user_of(app, 1, &mut taken).await]
}

fn part_lock(user: &TestUser) -> i64 {
    FOLD_LOCK + 1 + i64::from(UserPart::of(user.user_id).number())
}

async fn consumed(relay: &Relay) -> usize {
    relay.run_round().await.unwrap().consumed
}

#[tokio::test]
async fn every_user_is_in_one_part_and_the_database_says_the_same() {
    let app = TestApp::start().await;
    app.tell(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select u, 'bucket_changed', '2026-11-20', '2026-11-20T09:00Z', '2026-11-20T09:00Z', lane, u
         from (select gen_random_uuid() as u from generate_series(1, 2000)) u, (values ('live'), ('bulk'), ('whole')) l (lane)",
    )
    .await;
    let users =
        app.ask("select user_id || ' ' || min(part) || ' ' || max(part) from usage.outbox group by user_id").await;
    assert_eq!(users.len(), 2000);
    let mut parts = BTreeSet::new();
    for user in users {
        let words: Vec<_> = user.split(' ').collect();
        let part = UserPart::of(words[0].parse().unwrap());
        assert_eq!((words[1], words[2]), (&*part.number().to_string(), &*part.number().to_string()), "{user}");
        parts.insert(part);
    }
    assert_eq!(parts, UserPart::all().collect(), "{PARTS} parts");
}

#[tokio::test]
async fn two_relays_on_one_part_fold_no_event_twice_and_leave_none() {
    let app = TestApp::start().await;
    let other = app.second_server().await;
    let (mut users, mut taken) = (Vec::new(), BTreeSet::new());
    for number in 0..4 {
        users.push(user_of(&app, number % 2, &mut taken).await);
    }
    let posted = CancellationToken::new();
    let posting = async {
        for tokens in 1..=25 {
            for (_, device) in &users {
                app.post_usage(device, &[Usage::input(NINE, tokens)]).await;
            }
        }
        posted.cancel();
    };
    let folding = async |relay: &Relay| {
        let mut sum = 0;
        loop {
            let last = posted.is_cancelled();
            let round = relay.run_round().await.unwrap();
            sum += round.consumed;
            if last && !round.locked_out {
                return sum;
            }
        }
    };
    let ((), here, there) = tokio::join!(posting, folding(app.relay()), folding(other.relay()));
    assert_eq!(here + there, 4 * 25, "{here} here, {there} there");
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 100"]);
}

#[tokio::test]
async fn while_one_part_is_folded_others_are_and_only_it_is_pending_and_as_old_as_its_oldest_event() {
    let app = two_relays().await;
    let [(one, one_device), (slow, slow_device)] = two_users(&app).await;
    let [first, second] = app.relays() else { panic!("two relays") };
    for device in [&one_device, &slow_device] {
        app.post_usage(device, &[Usage::input(NINE, 5)]).await;
    }
    let held = hold(&app, &format!("select from usage.outbox where user_id = '{}' for update", slow.user_id)).await;
    let meanwhile = async {
        app.wait_for(WAITING).await;
        assert_eq!(consumed(first).await, 1, "the other part");
        assert!(second.run_round().await.unwrap().locked_out, "the part is folded already");
        let fresh = app.get(&one.viewer, "/v1/rollups").await.expect_ok().clone();
        let stale = app.get(&slow.viewer, "/v1/rollups").await.expect_ok().clone();
        assert_eq!((&fresh["pending"], &fresh["totals"]["input_tokens"]), (&json!(false), &json!(5)));
        assert_eq!((&stale["pending"], &stale["totals"]["input_tokens"]), (&json!(true), &json!(0)));
        let created_at = app.ask("select to_json(created_at)#>>'{}' from usage.outbox").await.remove(0);
        assert_eq!(instant(stale["as_of"].as_str().unwrap()), instant(&created_at));
        assert!(instant(fresh["as_of"].as_str().unwrap()) > instant(&created_at));
        release(held).await;
    };
    let (round, ()) = tokio::join!(second.run_round(), meanwhile);
    assert_eq!(round.unwrap(), Round { consumed: 1, ..Round::default() });
    assert_eq!(app.get(&slow.viewer, "/v1/rollups").await.expect_ok()["pending"], json!(false));
}

#[tokio::test]
async fn a_part_of_another_relay_is_taken_over_when_its_event_is_older_than_a_second_and_not_before() {
    let app = two_relays().await;
    let [(_, device), (_, other_device)] = two_users(&app).await;
    let first = &app.relays()[0];
    app.post_usage(&other_device, &[Usage::input(NINE, 5)]).await;
    let aged =
        async |age: &str| app.tell(&format!("update usage.outbox set created_at = now() - interval '{age}'")).await;
    // However long this test takes until then.
    aged("-30 seconds").await;
    assert_eq!(first.run_round().await.unwrap(), Round::default());
    aged("1.1 seconds").await;
    app.post_usage(&device, &[Usage::input(NINE, 70)]).await;
    assert_eq!(first.run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 70"], "its own come first");
    assert_eq!(first.run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 75"]);
    // A part whose own relay is behind comes before what is newer by five seconds.
    for device in [&device, &other_device] {
        app.post_usage(device, &[Usage::input(NINE, 100)]).await;
    }
    let user = "select user_id from account.device where device_id = ";
    let behind =
        format!("created_at = now() - interval '30 seconds' where user_id = ({user} '{}')", other_device.device_id);
    app.tell(&format!("update usage.outbox set {behind}")).await;
    assert_eq!(consumed(first).await, 1);
    let waits = format!("select ''  from usage.outbox where user_id = ({user} '{}')", device.device_id);
    assert_eq!(app.ask(&waits).await.len(), 1);
}

#[tokio::test]
async fn relays_that_run_fold_what_a_stopped_one_of_another_process_leaves() {
    let app = two_relays().await;
    let (mut taken, mut devices) = (BTreeSet::new(), Vec::new());
    for number in 0..6 {
        devices.push(user_of(&app, number % 2, &mut taken).await.1);
    }
    let stop = CancellationToken::new();
    let running = app.relays()[0].run(stop.clone());
    let posting = async {
        for device in &devices {
            app.post_usage(device, &[Usage::input(NINE, 5)]).await;
        }
        // The second relay never ran.
        app.wait_for(FOLDED).await;
        stop.cancel();
    };
    tokio::join!(running, posting);
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 30"]);
}

#[tokio::test]
async fn a_batch_that_fails_and_not_through_data_is_tried_part_by_part() {
    let app = TestApp::start().await;
    let [(_, good_device), (bad, bad_device)] = two_users(&app).await;
    app.tell(&format!(
        "create function rollup.fill() returns trigger language plpgsql as
         $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$;
         create trigger fill before insert or update on rollup.daily for each row
         when (new.user_id = '{}') execute function rollup.fill()",
        bad.user_id
    ))
    .await;
    let post = async |device: &TestDevice, tokens| app.post_usage(device, &[Usage::input(NINE, tokens)]).await;
    post(&good_device, 5).await;
    post(&bad_device, 70).await;
    assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::DatabaseUnavailable);
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, more: true, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
    app.relay().run_round().await.unwrap_err();
    assert_eq!(app.ask(EVENTS).await, ["0 "], "nobody's data is to blame");

    // A relay that runs leaves that part alone for a while, and goes on with the others.
    let stop = CancellationToken::new();
    let acting = async {
        for tokens in 6..10 {
            post(&good_device, tokens).await;
            let good = format!(
                "select 'folded' where not exists (select from usage.outbox where user_id <> '{}')",
                bad.user_id
            );
            tokio::time::timeout(Duration::from_secs(10), app.wait_for(&good)).await.unwrap();
        }
        assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await), (vec!["2026-11-20 9".into()], vec!["0 ".into()]));
        app.tell("drop trigger fill on rollup.daily").await;
        app.wait_for(FOLDED).await;
        stop.cancel();
    };
    tokio::join!(app.relay().run(stop.clone()), acting);
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 79"]);
}

#[tokio::test]
async fn a_whole_user_that_takes_too_long_rests_alone_and_others_that_came_with_it_do_not() {
    let app = TestApp::start().await;
    let [(good, good_device), (large, large_device)] = two_users(&app).await;
    for device in [&good_device, &large_device] {
        app.post_usage(device, &[Usage::input(NINE, 5)]).await;
    }
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
    app.want_zone(&good, "Asia/Tokyo").await;
    let zones = "select time_zone from rollup.user_state order by time_zone";
    for _ in 0..2 {
        assert_eq!(app.relay().run_round().await.unwrap_err().code(), Code::DeadlineExceeded, "together, then alone");
    }
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });
    assert_eq!(app.ask(zones).await, ["Asia/Tokyo", "UTC"]);
    assert_eq!(app.relay().run_round().await.unwrap(), Round::default(), "it rests");
    app.tell("drop trigger dawdle on rollup.user_state").await;
    app.clock.set(app.clock.now() + TimeDelta::minutes(1));
    app.drain().await;
    assert_eq!(app.ask(zones).await, ["Asia/Tokyo", "Asia/Tokyo"]);
}

#[tokio::test]
async fn poison_of_one_part_is_set_aside_and_the_others_of_its_round_are_folded() {
    let app = TestApp::start().await;
    let [(_, good_device), (bad, bad_device)] = two_users(&app).await;
    poison(&app, &bad).await;
    for device in [&bad_device, &good_device] {
        app.post_usage(device, &[Usage::input(NINE, 5)]).await;
    }
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 1, failed: 1, ..Round::default() });
    assert_eq!(app.relay().run_round().await.unwrap(), Round::default());
    app.tell("drop trigger refuse on rollup.daily").await;
    app.clock.set(instant(NOW) + TimeDelta::seconds(1));
    assert_eq!(consumed(app.relay()).await, 1);
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 10"]);
}

#[tokio::test]
async fn a_process_that_knows_no_parts_and_relays_of_this_release_never_fold_at_once() {
    let app = two_relays().await;
    let [(one, one_device), (_, other_device)] = two_users(&app).await;
    let [first, second] = app.relays() else { panic!("two relays") };
    for device in [&one_device, &other_device] {
        app.post_usage(device, &[Usage::input(NINE, 5)]).await;
    }
    // As every release before has begun a round.
    let old = format!("select pg_try_advisory_xact_lock({FOLD_LOCK})::text");
    let old_round = hold(&app, &old).await;
    for relay in [first, second] {
        assert_eq!(relay.run_round().await.unwrap(), Round { locked_out: true, ..Round::default() });
    }
    release(old_round).await;

    let held = hold(&app, &format!("select from usage.outbox where user_id = '{}' for update", one.user_id)).await;
    let meanwhile = async {
        app.wait_for(WAITING).await;
        assert_eq!(app.ask(&old).await, ["false"]);
        // Who waits for the lock, as retention of that release, gets it when the rounds under way are over.
        app.ask(&format!("select pg_advisory_xact_lock({FOLD_LOCK})::text")).await;
    };
    let releasing = async {
        app.wait_for(
            "select 'waits' from pg_locks where locktype = 'advisory' and not granted and mode = 'ExclusiveLock'",
        )
        .await;
        assert_eq!(second.run_round().await.unwrap(), Round { locked_out: true, ..Round::default() });
        release(held).await;
    };
    let (round, (), ()) = tokio::join!(first.run_round(), meanwhile, releasing);
    assert_eq!(round.unwrap().consumed, 1);
    assert_eq!(consumed(second).await, 1);
    assert_eq!(app.ask(&old).await, ["true"]);
}

#[tokio::test]
async fn retention_of_a_user_waits_for_a_fold_of_its_part_only() {
    let app = TestApp::start().await;
    let [(one, one_device), (other, _)] = two_users(&app).await;
    app.post_usage(&one_device, &[Usage::input("2026-11-10T09:00:00Z", 5)]).await;
    app.drain().await;
    let held = hold(&app, &format!("select pg_advisory_xact_lock({})", part_lock(&other))).await;
    assert_eq!(app.retention(3).run_pass().await.unwrap().buckets, 1);
    release(held).await;

    app.post_usage(&one_device, &[Usage::input("2026-11-18T09:00:00Z", 5)]).await;
    app.drain().await;
    let held = hold(&app, &format!("select pg_advisory_xact_lock({})", part_lock(&one))).await;
    let retention = app.retention(1);
    let releasing = async {
        app.wait_for(WAITING).await;
        assert_eq!(app.ask("select count(*)::text from usage.bucket").await, ["1"]);
        release(held).await;
    };
    let (pass, ()) = tokio::join!(retention.run_pass(), releasing);
    assert_eq!(pass.unwrap().buckets, 1);
}

#[tokio::test]
async fn no_claim_scans_the_outbox_whether_it_is_empty_just_filled_or_known() {
    let app = TestApp::start().await;
    app.tell("alter table usage.outbox set (autovacuum_enabled = false)").await;
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    let places: Vec<(UserPart, Lane)> =
        Lane::ALL.into_iter().flat_map(|lane| UserPart::all().map(move |part| (part, lane))).collect();
    let (parts, lanes): (Vec<i16>, Vec<String>) =
        places.iter().map(|(part, lane)| (part.number(), lane.as_str().to_owned())).unzip();
    let (floors, most) = (vec![0_i64; places.len()], vec![200_i64; places.len()]);
    let named = |arguments| with(with(arguments, parts.clone()), lanes.clone());
    let flags = || vec![true; places.len()];
    let limits = |arguments| with(with(with(arguments, 5000_i64), 200_i64), 4_i64);
    let take = || {
        let named = named(with(PgArguments::default(), FOLD_LOCK));
        let flagged = with(with(named, flags()), flags().into_iter().map(|_| false).collect::<Vec<_>>());
        limits(with(with(with(flagged, floors.clone()), most.clone()), instant(NOW)))
    };
    let claim = || limits(with(with(named(with(PgArguments::default(), instant(NOW))), floors.clone()), most.clone()));
    let fill = "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
        select md5((n / 10)::text)::uuid, 'bucket_changed', '2026-11-10', '2026-11-10T00:00Z', '2026-11-10T23:30Z',
            case n % 100 when 1 then 'bulk' when 2 then 'whole' else 'live' end, md5(n::text)::uuid
        from generate_series(1, 200000) n;
        update usage.outbox set attempts = 1, retry_at = '2026-11-20T11:00Z' where id % 1000 = 0";
    for (state, arranged) in [("empty", ""), ("just filled", fill), ("known", "analyze usage.outbox")] {
        app.tell(arranged).await;
        for setting in ["enable_seqscan = off", "enable_seqscan = on"] {
            let opening = format!(
                "begin; set local role halfhour_worker; set local jit = off; set local {CUSTOM}; set local {setting}"
            );
            for ((path, sql), arguments) in [
                (sql!("features/dashboard_rollup/relay/take_parts.sql"), take()),
                (sql!("kernel/usage/outbox/claim_events.sql"), claim()),
            ] {
                // What is empty is read as fast as its index.
                if state == "empty" && setting.ends_with("on") {
                    continue;
                }
                let plan = explain(&mut connection, &opening, sql, arguments).await;
                let outline = outline(&plan);
                assert_eq!(scanned(&plan), Vec::<String>::new(), "{path}, {state}, {setting}:\n{outline}");
                let indexes: BTreeSet<_> = nodes(&plan).iter().filter_map(|node| node["Index Name"].as_str()).collect();
                let by_place = BTreeSet::from(["outbox_lane_part_id_idx", "outbox_lane_part_retry_idx"]);
                assert_eq!(indexes, by_place, "{path}, {state}, {setting}:\n{outline}");
                // 5,000 events in about as many pages of the table at most, twice, and the descents of 192 places.
                let pages = buffers(&plan);
                assert!(pages < 16_000, "{path}, {state}, {setting}: {pages} pages\n{outline}");
            }
        }
    }
    connection.close().await.unwrap();
}
