//! Relays of other processes are woken by what is committed here.

use std::time::{Duration, Instant};

use halfhour::features::dashboard_rollup::Round;
use halfhour::kernel::usage::outbox::UserPart;
use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::parts::two_relays;
use super::{INPUT, one_user};
use crate::support::TestApp;
use crate::support::rollups::Usage;

/// The backend that listens for a server.
const LISTENING: &str = "select pid::text from pg_stat_activity
    where datname = current_database() and query ilike 'listen %' and state = 'idle'";

async fn woken(app: &TestApp) {
    tokio::time::timeout(Duration::from_secs(20), app.woken()).await.expect("no wake came");
}

#[tokio::test]
async fn what_one_process_commits_wakes_the_relay_of_another_also_after_its_connection_was_lost() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let other = app.second_server().await;
    let stop = CancellationToken::new();
    let (speaking, listening) = (app.relay_notifier().clone(), other.relay_notifier().clone());
    let (stopped, heard) = (stop.clone(), stop.clone());
    let tasks = tokio::spawn(async move { tokio::join!(speaking.announce(stopped), listening.listen(heard)) });

    woken(&other).await;
    let first = app.wait_for(LISTENING).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    woken(&other).await;
    assert_eq!(other.relay().run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });

    app.tell(&format!("select pg_terminate_backend({first}, 5000)")).await;
    woken(&other).await;
    assert_ne!(app.wait_for(LISTENING).await, first, "whoever comes back has missed something, and looks");
    app.post_usage(&device, &[Usage::input("2026-11-20T09:30:00Z", 70)]).await;
    woken(&other).await;
    assert_eq!(other.relay().run_round().await.unwrap(), Round { consumed: 1, ..Round::default() });
    assert_eq!(app.ask(INPUT).await, ["2026-11-20 75"]);

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), tasks).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_process_does_not_wake_itself_twice() {
    let app = TestApp::start().await;
    let (_, device) = one_user(&app).await;
    let mut anyone = PgListener::connect_with(&app.admin).await.unwrap();
    anyone.listen("halfhour_outbox").await.unwrap();
    let stop = CancellationToken::new();
    let relay_notifier = app.relay_notifier().clone();
    let (stopped, heard) = (stop.clone(), stop.clone());
    let tasks =
        tokio::spawn(async move { tokio::join!(relay_notifier.announce(stopped), relay_notifier.listen(heard)) });
    woken(&app).await;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    woken(&app).await;
    // Its own announcement has been delivered to everyone by now, and the next is another process's.
    tokio::time::timeout(Duration::from_secs(20), anyone.recv()).await.unwrap().unwrap();
    app.tell("select pg_notify('halfhour_outbox', 'somebody else')").await;
    woken(&app).await;
    let once_more = tokio::time::timeout(Duration::from_millis(1), app.woken()).await;
    assert!(once_more.is_err(), "one wake was another's, and none its own");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), tasks).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_thousand_commits_are_announced_ten_times_a_second_at_most() {
    let app = TestApp::start().await;
    let mut anyone = PgListener::connect_with(&app.admin).await.unwrap();
    anyone.listen("halfhour_outbox").await.unwrap();
    let stop = CancellationToken::new();
    let (relay_notifier, stopped) = (app.relay_notifier().clone(), stop.clone());
    let started = Instant::now();
    let task = tokio::spawn(async move { relay_notifier.announce(stopped).await });
    let mut announced = 0_u128;
    while announced < 3 {
        for _ in 0..1000 {
            app.signal().wake();
        }
        tokio::time::timeout(Duration::from_secs(20), anyone.recv()).await.unwrap().unwrap();
        announced += 1;
    }
    assert!(announced <= 1 + started.elapsed().as_millis() / 100, "{announced} in {:?}", started.elapsed());
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_wake_is_for_the_relay_that_looks_after_the_user_be_it_told_here_or_by_another_process() {
    let app = two_relays().await;
    let (me, device) = one_user(&app).await;
    let is_woken = async |number, limit| tokio::time::timeout(limit, app.signal().woken_at(number)).await.is_ok();
    let (soon, now) = (Duration::from_secs(20), Duration::ZERO);
    let mine = UserPart::of(me.user_id).index() % 2;
    app.post_usage(&device, &[Usage::input("2026-11-20T09:00:00Z", 5)]).await;
    assert!(is_woken(mine, soon).await && !is_woken(1 - mine, now).await);

    let mut anyone = PgListener::connect_with(&app.admin).await.unwrap();
    anyone.listen("halfhour_outbox").await.unwrap();
    let stop = CancellationToken::new();
    let (relay_notifier, told) = (app.relay_notifier().clone(), stop.clone());
    let task =
        tokio::spawn(async move { tokio::join!(relay_notifier.announce(told.clone()), relay_notifier.listen(told)) });
    // Whoever begins to listen has missed something, and looks everywhere.
    assert!(is_woken(0, soon).await && is_woken(1, soon).await);
    let announcement = tokio::time::timeout(soon, anyone.recv()).await.unwrap().unwrap();
    let bits = u64::from_str_radix(announcement.payload().split_once(' ').unwrap().1, 16).unwrap();
    assert_eq!(bits, 1 << UserPart::of(me.user_id).number());
    for (payload, number) in [("somebody 10", 0), ("somebody 8000000000000000", 1)] {
        app.tell(&format!("select pg_notify('halfhour_outbox', '{payload}')")).await;
        assert!(is_woken(number, soon).await && !is_woken(1 - number, now).await, "{payload}");
    }
    app.tell("select pg_notify('halfhour_outbox', 'somebody of a release that had no parts')").await;
    assert!(is_woken(0, soon).await && is_woken(1, soon).await);
    stop.cancel();
    task.await.unwrap();
}
