//! The relay: nothing lost, nothing counted twice, whoever fails and whenever.

mod backlog;
mod laws;
mod outages;
mod parts;
mod plans;
mod rebuild;
mod relay_notifier;
mod replay;

use std::time::Duration;

use chrono::TimeDelta;
use halfhour::features::dashboard_rollup::{FOLD_LOCK, Relay, Round};
use halfhour::kernel::operations::switches::Switch;
use halfhour::kernel::usage::relay_notifier::Signal;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::rollups::Usage;
use crate::support::{NOW, TestApp, TestDevice, TestUser, instant, wait_for_lines};

/// Every row of the rollup with the transaction that wrote it: equal texts mean that no row was touched.
const ROWS: &str = "select format('%s %s', d.xmin, d.*) from rollup.daily d order by 1";
const STATES: &str = "select format('%s %s', s.xmin, s.*) from rollup.user_state s order by 1";
const INPUT: &str = "select format('%s %s', day, sum(input_tokens)) from rollup.daily group by day order by 1";
const EVENTS: &str = "select format('%s %s', attempts, last_error) from usage.outbox order by id";
/// A backend of this database that waits for a lock.
pub const WAITING: &str = "select pid::text from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'";
/// Announces every bucket anew.
const REPLAY: &str = "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
    select user_id, 'bucket_changed', (hour_start at time zone 'UTC')::date, min(hour_start), max(hour_start), 'bulk', user_id
    from usage.bucket group by 1, 3";

pub async fn one_user(app: &TestApp) -> (TestUser, TestDevice) {
    let me = app.user("me", "Europe/Berlin").await;
    let device = app.device(&me, "laptop").await;
    (me, device)
}

/// A transaction of the superuser's that holds something.
pub async fn hold(app: &TestApp, sql: &str) -> PgConnection {
    let mut connection = PgConnection::connect_with(&app.superuser).await.unwrap();
    run(&mut connection, &format!("begin; {sql}")).await;
    connection
}

pub async fn run(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

pub async fn release(mut held: PgConnection) {
    run(&mut held, "rollback").await;
    held.close().await.unwrap();
}

/// Makes the fold of a user's rows fail as bad data does.
async fn poison(app: &TestApp, user: &TestUser) {
    app.tell(&format!(
        "create function rollup.refuse() returns trigger language plpgsql as
         $$ begin raise exception 'no row for you: %', new; end $$;
         create trigger refuse before insert or update on rollup.daily for each row
         when (new.user_id = '{}') execute function rollup.refuse()",
        user.user_id
    ))
    .await;
}

#[tokio::test]
async fn events_replayed_any_number_of_times_change_no_row_and_no_version() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let buckets = ["2026-11-18T22:30:00Z", "2026-11-18T23:00:00Z", "2026-11-20T09:00:00Z"];
    app.post_usage(&device, &buckets.map(|hour| Usage::input(hour, 5))).await;
    app.drain().await;
    let (rows, states) = (app.ask(ROWS).await, app.ask(STATES).await);
    assert_eq!(rows.len(), 3, "{rows:?}");
    for _ in 0..3 {
        app.tell(REPLAY).await;
        app.tell(REPLAY).await;
        app.drain().await;
        assert_eq!((app.ask(ROWS).await, app.ask(STATES).await), (rows.clone(), states.clone()));
    }
    app.tell("update rollup.daily set input_tokens = 77 where day = '2026-11-18'").await;
    app.tell(REPLAY).await;
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-18 5", "2026-11-19 5", "2026-11-20 5"], "a replay heals drift");
}

#[tokio::test]
async fn a_fold_that_only_raises_counts_writes_to_no_index() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let written = async || {
        app.cut_connections("worker").await;
        let written = "select format('%s %s %s', n_tup_ins, n_tup_upd, n_tup_hot_upd) from pg_stat_user_tables
                       where relid = 'rollup.daily'::regclass";
        app.ask(written).await.remove(0)
    };
    for (tokens, expected) in [(0, "1 0 0"), (5, "1 1 0"), (6, "1 2 1"), (7, "1 3 2")] {
        app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", tokens)]).await;
        app.drain().await;
        assert_eq!(written().await, expected, "{tokens}: only the first usage of a day makes it active");
    }
}

#[tokio::test]
async fn of_two_relays_one_folds_and_the_other_finds_the_lock() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    let other = app.second_server().await;
    let held = hold(&app, "lock table rollup.daily in access exclusive mode").await;
    let folding = async { app.relay().run_round().await.unwrap() };
    let meanwhile = async {
        app.wait_for(WAITING).await;
        let round = other.relay().run_round().await.unwrap();
        assert_eq!(round, Round { locked_out: true, ..Round::default() });
        release(held).await;
    };
    let (round, ()) = tokio::join!(folding, meanwhile);
    assert_eq!(round, Round { consumed: 1, ..Round::default() });
    assert_eq!(other.relay().run_round().await.unwrap(), Round::default(), "nothing is folded twice");
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

#[tokio::test]
async fn the_lock_is_free_again_when_its_holder_is_gone() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    let held = hold(&app, &format!("select pg_advisory_xact_lock({FOLD_LOCK})")).await;
    assert!(app.relay().run_round().await.unwrap().locked_out);
    drop(held);
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

#[tokio::test]
async fn a_relay_dropped_between_fold_and_commit_loses_nothing() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    let held = hold(&app, "select from usage.outbox for update").await;
    let dropped = tokio::select! {
        biased;
        round = app.relay().run_round() => panic!("the events are held: {round:?}"),
        backend = app.wait_for(WAITING) => backend,
    };
    release(held).await;
    app.tell(&format!("select pg_terminate_backend({dropped}, 5000)")).await;
    assert_eq!(app.ask(INPUT).await, Vec::<String>::new(), "the fold went with its transaction");
    assert_eq!(app.ask(EVENTS).await, ["0 "], "and the event is still there");
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

#[tokio::test]
async fn a_bucket_committed_while_its_day_is_folded_is_folded_in_the_next_round() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    let held = hold(&app, "select from usage.outbox for update").await;
    let folding = async { app.relay().run_round().await.unwrap() };
    let meanwhile = async {
        app.wait_for(WAITING).await;
        app.post_usage(&device, &[Usage::input("2026-11-20T09:30:00Z", 70)]).await;
        release(held).await;
    };
    let (round, ()) = tokio::join!(folding, meanwhile);
    assert_eq!(round.consumed, 1);
    assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await.len()), (vec!["2026-11-20 5".to_owned()], 1));
    assert_eq!(app.relay().run_round().await.unwrap().consumed, 1);
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 75"]);
}

#[tokio::test]
async fn a_poisonous_event_waits_longer_and_longer_is_parked_and_holds_up_nobody() {
    let app = TestApp::start().await;
    let bad = app.user("bad", "UTC").await;
    let bad_device = app.device(&bad, "laptop").await;
    poison(&app, &bad).await;
    app.post_usage(&bad_device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    for number in 0..7 {
        let good = app.user(&format!("good {number}"), "UTC").await;
        let device = app.device(&good, "laptop").await;
        app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 1)]).await;
    }
    let round = app.relay().run_round().await.unwrap();
    assert_eq!(round, Round { consumed: 7, failed: 1, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 7"]);
    assert_eq!(app.ask(EVENTS).await, ["1 P0001"], "the SQLSTATE, never row data");
    assert_eq!(app.relay().run_round().await.unwrap(), Round::default(), "not before its time");

    let mut now = instant(NOW);
    let mut waits = Vec::new();
    for attempts in 1..=9 {
        assert_eq!(app.ask("select attempts::text from usage.outbox").await, [attempts.to_string()]);
        let retry_at = app.ask("select to_json(retry_at)#>>'{}' from usage.outbox").await.remove(0);
        waits.push(instant(&retry_at) - now);
        now = instant(&retry_at);
        app.clock.set(now);
        assert_eq!(app.relay().run_round().await.unwrap(), Round { failed: 1, ..Round::default() });
    }
    assert!(waits[0] >= TimeDelta::milliseconds(500) && waits[0] <= TimeDelta::seconds(1), "{waits:?}");
    assert!(waits[8] >= TimeDelta::seconds(128) && waits[8] <= TimeDelta::seconds(256), "{waits:?}");
    app.clock.set(now + TimeDelta::days(1));
    assert_eq!(app.ask("select attempts::text from usage.outbox where parked_at is not null").await, ["10"]);
    assert_eq!(app.relay().run_round().await.unwrap(), Round::default(), "a parked event is not tried again");
    let reply = app.get(&bad.viewer, "/v1/rollups").await;
    assert_eq!(reply.expect_ok()["pending"], true, "but it is not forgotten");
}

#[tokio::test]
async fn a_parked_event_heals_with_the_next_good_fold_of_its_day() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    poison(&app, &me).await;
    // One UTC day, two local days: the next post touches only the first.
    app.post_usage(&device, &[Usage::input("2026-11-19T09:00:00Z", 5), Usage::input("2026-11-19T23:30:00Z", 6)]).await;
    app.relay().run_round().await.unwrap();
    app.tell("update usage.outbox set attempts = 10, parked_at = now()").await;
    app.post_usage(&device, &[Usage::input("2026-11-19T10:00:00Z", 70)]).await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { failed: 1, ..Round::default() });
    let parked = "select attempts::text from usage.outbox where parked_at is not null";
    assert_eq!(app.ask(parked).await, ["10"], "what is parked already is not counted again");

    app.tell("drop trigger refuse on rollup.daily").await;
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await.len(), 2, "neither is due");
    app.post_usage(&device, &[Usage::input("2026-11-19T11:00:00Z", 800)]).await;
    assert_eq!(app.relay().run_round().await.unwrap(), Round { consumed: 2, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-19 875", "2026-11-20 6"]);
    app.clock.set(instant(NOW) + TimeDelta::seconds(1));
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
    assert_eq!(app.get(&me.viewer, "/v1/rollups").await.expect_ok()["pending"], json!(false));
}

#[tokio::test]
async fn a_zone_that_does_not_exist_fails_only_its_own_users_events() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    let other = app.user("other", "Asia/Kathmandu").await;
    let other_device = app.device(&other, "laptop").await;
    app.tell(&format!("update account.user set time_zone = 'Mars/Base' where user_id = '{}'", me.user_id)).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.post_usage(&other_device, &[Usage::input("2026-11-19T19:00:00Z", 6)]).await;
    app.drain().await;
    assert_eq!((app.ask(INPUT).await, app.ask(EVENTS).await), (vec!["2026-11-20 6".into()], vec!["1 22023".into()]));
}

#[tokio::test]
async fn a_sum_that_fits_no_column_is_its_events_own_fault() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.tell("alter table rollup.daily add constraint input_is_small check (input_tokens < 3)").await;
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, ["1 23514 input_is_small"]);
}

#[tokio::test]
async fn a_full_batch_says_that_more_may_wait() {
    let app = TestApp::start().await;
    one_user(&app).await;
    app.tell(
        "insert into usage.outbox (user_id, topic, utc_day, first_hour, last_hour, lane, request_id)
         select user_id, 'bucket_changed', '2026-11-20', '2026-11-20T00:00Z', '2026-11-20T23:30Z', lane, user_id
         from account.user, generate_series(1, 5100) n, (values ('live'), ('bulk')) l (lane)",
    )
    .await;
    let round = app.relay().run_round().await.unwrap();
    assert_eq!(round, Round { consumed: 5200, more: true, ..Round::default() }, "bulk events get the smaller part");
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, Vec::<String>::new());
    assert_eq!(app.ask("select version::text from rollup.user_state").await, ["0"]);
}

#[tokio::test]
async fn a_relay_that_is_switched_off_folds_nothing_and_says_so() {
    let app = TestApp::start().await;
    let (me, device) = one_user(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.switches().set(Switch::Relay, false);
    assert_eq!(app.relay().run_round().await.unwrap(), Round { paused: true, ..Round::default() });
    app.drain().await;
    assert_eq!(app.ask(EVENTS).await, ["0 "], "nothing is taken, and no attempt counted");
    assert_eq!(app.get(&me.viewer, "/v1/rollups").await.expect_ok()["pending"], true, "reads are served");
    app.switches().set(Switch::Relay, true);
    app.drain().await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 5"]);
}

/// A relay at work, its wakes, and what stops it.
struct Running {
    signal: Signal,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn on(app: &TestApp) -> Self {
        let (signal, stop) = (Signal::default(), CancellationToken::new());
        let relay = Relay::new(app.pools.worker.clone(), signal.clone(), app.clock.clone(), app.switches().clone());
        let told = stop.clone();
        Self { signal, stop, task: tokio::spawn(async move { relay.run(told).await }) }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_running_relay_comes_back_by_itself_after_an_outage_and_stops_when_told() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let running = Running::on(&app);
    let folded = "select 'folded' where not exists (select from usage.outbox)";
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.wait_for(folded).await;
    let mark = app.refuse_inserts("rollup.daily", "53100").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T10:00:00Z", 70)]).await;
    wait_for_lines(&mark, 1).await;
    app.tell("drop trigger refuse_insert on rollup.daily").await;
    app.wait_for(folded).await;
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 75"]);
    running.stop().await;
}

#[tokio::test]
async fn a_wake_that_comes_while_the_relay_works_is_taken_when_it_is_done() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let running = Running::on(&app);
    // Poison, because each round with a new one leaves a line.
    let mark = app.refuse_inserts("rollup.daily", "23514").await;
    let held = hold(&app, "lock table rollup.daily in access exclusive mode").await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    app.wait_for(WAITING).await;
    running.signal.wake();
    app.post_usage(&device, &[Usage::input("2026-11-20T09:30:00Z", 5)]).await;
    release(held).await;
    wait_for_lines(&mark, 2).await;
    let signal = running.signal.clone();
    running.stop().await;
    // Whether a wake or its own clock brought the second round: only one of them takes the wake.
    let still_there = tokio::time::timeout(Duration::ZERO, signal.woken()).await;
    assert!(still_there.is_err(), "the wake was not heard");
}
