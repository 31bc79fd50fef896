//! Thousands of reads through two servers while posts go on and the standby comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cluster::Pair;
use super::{home, people};
use crate::http::{Http, recent};

/// As many reads each reader makes.
const READS: usize = 600;
/// As many readers there are.
const READERS: usize = 4;

/// What a reader was told last.
#[derive(Default)]
struct Told {
    version: i64,
    as_of: DateTime<Utc>,
}

impl Told {
    /// A reply that followed: neither falls, but `as_of` to a change that was under way.
    fn is_followed_by(&mut self, reply: &Value) {
        let version = reply["version"].as_i64().unwrap();
        let as_of = reply["as_of"].as_str().unwrap().parse().unwrap();
        assert!(version >= self.version, "the version fell from {}: {reply}", self.version);
        assert!(as_of >= self.as_of || reply["pending"] == true, "as_of fell from {}: {reply}", self.as_of);
        *self = Self { version, as_of: self.as_of.max(as_of) };
    }
}

/// Posts one number after the other until told to stop. Says which was acknowledged.
async fn post(server: Http, device: String, (acknowledged, stop): (Arc<AtomicU64>, Arc<AtomicBool>)) {
    let mut body = recent("m", 0);
    for number in 1.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        // Always the same half hour.
        body["buckets"][0]["input_tokens"] = number.into();
        server.post(&device, &body).await;
        acknowledged.store(number, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(number % 40)).await;
    }
}

/// Reads through one server and the other in turns, sums and buckets.
async fn read(servers: [Http; 2], viewer: String, acknowledged: Arc<AtomicU64>) {
    let mut told = Told::default();
    for at in 0..READS {
        let path = ["/v1/rollups", "/v1/buckets", "/v1/rollups?group_by=model"][at % 3];
        let least = acknowledged.load(Ordering::SeqCst);
        let reply = servers[at % 2].get(&viewer, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.json);
        told.is_followed_by(&reply.json);
        let is_listing = path == "/v1/buckets";
        let shown =
            if is_listing { &reply.json["data"][0]["input_tokens"] } else { &reply.json["totals"]["input_tokens"] };
        if is_listing || reply.json["pending"] == false {
            assert!(shown.as_u64().unwrap_or_default() >= least, "{least} was acknowledged: {}", reply.json);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_falls_and_nothing_acknowledged_is_missing_while_a_standby_comes_and_goes() {
    let mut pair = Pair::start().await;
    let home = home(&pair, &pair.standby.url());
    let (one, two) = (home.serve().await, home.serve().await);
    let people = people(&home);
    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    people.until(&one, None).await;
    people.until(&two, None).await;

    let poster = tokio::spawn(post(one.http.clone(), people.device.clone(), (acknowledged.clone(), stop.clone())));
    let reader =
        || tokio::spawn(read([one.http.clone(), two.http.clone()], people.viewer.clone(), acknowledged.clone()));
    let readers: Vec<_> = (0..READERS).map(|_| reader()).collect();
    let mut round = 0_u32;
    while !readers.iter().all(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        match round % 3 {
            0 => {
                pair.standby.pause().await;
                tokio::time::sleep(Duration::from_millis(700)).await;
                pair.standby.resume().await;
            }
            // What is cleaned up on the primary is in the way of reads of the standby.
            1 => pair.tell_primary("vacuum rollup.daily, rollup.user_state, usage.bucket, usage.outbox").await,
            _ => {
                pair.standby.stop().await;
                pair.standby.start().await;
            }
        }
        round += 1;
    }
    stop.store(true, Ordering::SeqCst);
    poster.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    let (mut from_standby, mut behind) = (0.0, 0.0);
    for server in [&one, &two] {
        from_standby += people.from_standby(server).await;
        behind += people.fallbacks(server, "behind").await;
    }
    assert!(from_standby >= 100.0 && behind >= 1.0 && round >= 3, "{from_standby} {behind} {round}");
    one.stop().await;
    two.stop().await;
}
