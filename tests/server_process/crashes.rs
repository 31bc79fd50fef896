//! PostgreSQL, the server, or both are killed between two requests: what was acknowledged is there afterwards.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::http::{INTERVAL, PATIENCE, Reply, recent, wait_until};
use crate::processes::{Postmaster, send, working_in};
use crate::support::{Home, Server};

/// While the database is away a client is told so, and nothing else.
#[track_caller]
fn assert_unavailable(reply: &Reply) {
    let of_this_kind = ["database_unavailable", "overloaded", "deadline_exceeded"];
    assert!([503, 504].contains(&reply.status), "{reply:?}");
    assert_eq!(reply.content_type, "application/problem+json", "{reply:?}");
    assert!(of_this_kind.contains(&reply.json["code"].as_str().unwrap()), "{reply:?}");
}

fn input_tokens(rollups: &Value) -> u64 {
    rollups["totals"]["input_tokens"].as_u64().unwrap()
}

#[tokio::test]
async fn a_server_outlives_its_killed_postgresql_and_serves_again_by_itself() {
    let home = Home::new();
    let mut server = home.serve().await;
    let (device, viewer) = (home.device_token(), home.viewer_token());
    server.post(&device, &recent("before", 1)).await;
    assert_eq!(input_tokens(&server.folded(&viewer, "/v1/rollups").await), 1);

    for round in 1..=2_u64 {
        let killed = home.postmaster();
        send(killed.pid, Signal::KILL);
        let died = Instant::now();
        // Reads and posts go on all the while; each is answered, and an answer of 200 counts.
        let mut acknowledged = 0;
        let mut refused = 0;
        loop {
            let read = server.get(&viewer, "/v1/rollups").await;
            let model = format!("during-{round}-{acknowledged}");
            let posted = server.try_post(&device, &recent(&model, 1000)).await.unwrap();
            for reply in [&read, &posted] {
                if reply.status != 200 {
                    assert_unavailable(reply);
                    refused += 1;
                }
            }
            acknowledged += u64::from(posted.status == 200);
            if read.status == 200 && posted.status == 200 {
                let is_back = Postmaster::find(&home.data_dir()).is_some_and(|now| now.pid != killed.pid);
                if is_back && acknowledged > 1 {
                    break;
                }
            }
            assert!(died.elapsed() < Duration::from_secs(15), "down for {:?}, {refused} refused", died.elapsed());
            tokio::time::sleep(INTERVAL).await;
        }
        eprintln!("back after {:?}; {refused} refused meanwhile", died.elapsed());
        assert!(!server.running.has_ended());
        let rollups = server.folded(&viewer, "/v1/rollups").await;
        let before = 1 + (round - 1) * 1_000_000;
        assert_eq!(input_tokens(&rollups), before + acknowledged * 1000, "{acknowledged} acknowledged");
        // Round numbers for the next round.
        server.post(&device, &recent(&format!("rest-{round}"), 1_000_000 - acknowledged * 1000)).await;
    }
    assert_eq!(input_tokens(&server.folded(&viewer, "/v1/rollups").await), 2_000_001);
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_server_and_its_postgresql_killed_together_start_again_with_everything() {
    let home = Home::new();
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 11)).await;
    // Both at once, in either order, and with no time for the one to see the other's end.
    send(home.postmaster().pid, Signal::KILL);
    server.kill().await;

    let began = Instant::now();
    let server = home.serve().await;
    eprintln!("listens {:?} after the restart", began.elapsed());
    assert_eq!(input_tokens(&server.folded(&home.viewer_token(), "/v1/rollups").await), 11);
    server.post(&home.device_token(), &recent("n", 12)).await;
    server.kill().await;
    wait_until("the private PostgreSQL to follow its server", || working_in(&home.data_dir()).is_empty()).await;

    let server = home.serve().await;
    assert_eq!(input_tokens(&server.folded(&home.viewer_token(), "/v1/rollups").await), 23);
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_first_start_killed_at_any_moment_is_made_good_by_the_next() {
    let home = Home::new();
    // From the first file to the last.
    for name in ["server.lock", "postgres.partial", "postgres/postmaster.pid", "secret.key", "credentials.env"] {
        assert!(!home.has(name), "{name} is there before its time");
        let mut running = home.spawn();
        wait_until(name, || home.has(name) || running.has_ended()).await;
        assert!(home.has(name), "{}", running.stderr());
        running.signal(Signal::KILL);
        running.ended_within(PATIENCE).await;
    }
    let server = home.serve().await;
    server.post(&home.device_token(), &recent("m", 5)).await;
    assert_eq!(input_tokens(&server.folded(&home.viewer_token(), "/v1/rollups").await), 5);
    server.stop().await;
    home.assert_nothing_left();
}

#[tokio::test]
async fn a_cluster_that_a_killed_start_is_still_making_is_not_in_the_way_of_the_next() {
    let home = Home::new();
    // Into the middle of making it, where files appear faster than they can be removed.
    for directory in ["global", "pg_wal", "base/1", "base/4"] {
        let mut running = home.spawn();
        let is_made = || {
            let entries = fs::read_dir(home.data_dir()).into_iter().flatten().flatten();
            let mut unfinished =
                entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("postgres.partial"));
            unfinished.any(|entry| entry.path().join("cluster").join(directory).exists())
        };
        wait_until(directory, || is_made() || running.has_ended() || home.has("postgres/base")).await;
        running.signal(Signal::KILL);
        running.ended_within(PATIENCE).await;

        let server = home.serve().await;
        server.post(&home.device_token(), &recent("m", 5)).await;
        server.stop().await;
        wait_until("the killed start's programs to end", || working_in(home.path()).is_empty()).await;
        // Whatever those went on writing is removed by the next start.
        home.json(&["migrate"]);
        assert!(!home.has("postgres.partial"));
        home.assert_nothing_left();
        fs::remove_dir_all(home.data_dir()).unwrap();
    }
}

#[tokio::test]
async fn a_server_killed_between_a_change_and_its_answer_gives_that_answer_when_it_is_asked_again() {
    let home = Home::new();
    let server = home.serve().await;
    let viewer = home.viewer_token();
    let tablet = serde_json::json!({"name": "tablet"});
    let unread = server.post_unread("k", &viewer, "/v1/devices", &tablet).await;
    let devices = async |server: &Server| {
        let listed = server.get(&viewer, "/v1/devices").await.json["data"].as_array().unwrap().clone();
        listed.into_iter().filter(|device| device["name"] == "tablet").collect::<Vec<_>>()
    };
    let deadline = Instant::now() + PATIENCE;
    while devices(&server).await.is_empty() {
        assert!(Instant::now() < deadline, "the device is not made");
        tokio::time::sleep(INTERVAL).await;
    }
    server.kill().await;
    drop(unread);

    let server = home.serve().await;
    let repeated = server.post_under("k", &viewer, "/v1/devices", &tablet).await;
    assert_eq!(repeated.status, 201, "{repeated:?}");
    let made = devices(&server).await;
    assert_eq!((made.len(), &made[0]["device_id"]), (1, &repeated.json["device_id"]));
    server.post(repeated.json["token"].as_str().unwrap(), &recent("m", 1)).await;
    let again = server.post_under("k", &viewer, "/v1/devices", &tablet).await;
    assert_eq!((again.status, &again.json), (201, &repeated.json));
    server.stop().await;
    home.assert_nothing_left();
}
