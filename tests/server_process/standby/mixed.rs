//! Reads through two servers while posts go on and the standby comes and goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::cluster::Pair;
use super::{People, home, people};
use crate::http::{Http, recent};

/// As many readers there are.
const READERS: usize = 4;
/// What they read in turns. The middle one has what is not folded yet, too.
const PATHS: [&str; 3] = ["/v1/rollups", "/v1/buckets", "/v1/rollups?group_by=model"];

/// The most that anybody was told.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    version: i64,
    as_of: DateTime<Utc>,
    /// Tokens in sums, and in buckets.
    folded: u64,
    stored: u64,
}

impl Told {
    fn of(reply: &Value) -> Self {
        let tokens = |counts: &Value| counts["input_tokens"].as_u64().unwrap_or_default();
        Self {
            version: reply["version"].as_i64().unwrap(),
            as_of: reply["as_of"].as_str().unwrap().parse().unwrap(),
            folded: tokens(&reply["totals"]),
            stored: tokens(&reply["data"][0]),
        }
    }

    /// Both together. Sums say nothing of buckets, nor buckets of sums.
    fn and(self, other: Self) -> Self {
        Self {
            version: self.version.max(other.version),
            as_of: self.as_of.max(other.as_of),
            folded: self.folded.max(other.folded),
            stored: self.stored.max(other.stored),
        }
    }
}

/// What readers and the poster share.
#[derive(Default)]
struct Shared {
    told: Mutex<Told>,
    acknowledged: AtomicU64,
    reads: AtomicU64,
    is_over: AtomicBool,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Asserts that a reply tells no less than anybody was told before it was asked for, and everything that was acknowledged.
    /// But `as_of` may fall to the beginning of a change that was under way.
    fn check(&self, path: &str, (before, acknowledged): (Told, u64), reply: &Value) {
        let told = Told::of(reply);
        let pending = reply["pending"] == true;
        assert!(told.version >= before.version, "{path}: the version fell from {before:?}: {reply}");
        assert!(told.as_of >= before.as_of || pending, "{path}: as_of fell from {before:?}: {reply}");
        let (shown, least) = if path == PATHS[1] {
            (told.stored, before.stored.max(acknowledged))
        } else {
            (told.folded, before.folded.max(if pending { 0 } else { acknowledged }))
        };
        assert!(shown >= least, "{path}: {shown} where {least} was told: {reply}");
        let mut known = self.told.lock().unwrap();
        *known = known.and(told);
    }
}

/// Posts one number after the other. Says which was acknowledged.
async fn post(server: Http, device: String, shared: Arc<Shared>) {
    let mut body = recent("m", 0);
    for number in 1.. {
        if shared.is_over() {
            return;
        }
        // Always the same half hour.
        body["buckets"][0]["input_tokens"] = number.into();
        server.post(&device, &body).await;
        shared.acknowledged.store(number, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(number % 40)).await;
    }
}

/// Reads through one server and the other in turns.
async fn read(servers: [Http; 2], viewer: String, shared: Arc<Shared>) {
    let mut at = 0;
    while !shared.is_over() {
        let path = PATHS[at % PATHS.len()];
        let before = (*shared.told.lock().unwrap(), shared.acknowledged.load(Ordering::SeqCst));
        let reply = servers[at % 2].get(&viewer, path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.json);
        shared.check(path, before, &reply.json);
        shared.reads.fetch_add(1, Ordering::SeqCst);
        at += 1;
    }
}

/// A standby in all its states, as often as it takes for so many reads, and twice at least. In the end it is promoted.
async fn comes_and_goes(pair: &mut Pair, shared: &Shared, (reads, paused): (u64, Duration)) {
    let mut rounds = 0;
    while rounds < 2 || shared.reads.load(Ordering::SeqCst) < reads {
        assert!(rounds < 30, "the readers have stopped");
        tokio::time::sleep(Duration::from_secs(2)).await;
        pair.standby.pause().await;
        tokio::time::sleep(paused).await;
        pair.standby.resume().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        // What is cleaned up on the primary is in the way of reads of the standby.
        pair.tell_primary("vacuum rollup.daily, rollup.user_state, usage.bucket, usage.outbox").await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        pair.standby.stop().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        pair.standby.start().await;
        rounds += 1;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(pair.standby.ask("select pg_promote()").await);
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn nothing_falls((reads, paused): (u64, Duration)) {
    let mut pair = Pair::start().await;
    let home = home(&pair, &pair.standby.url());
    let (one, two) = (home.serve().await, home.serve().await);
    let people: People = people(&home);
    let shared = Arc::new(Shared::default());
    people.until(&one, None).await;
    people.until(&two, None).await;

    let poster = tokio::spawn(post(one.http.clone(), people.device.clone(), shared.clone()));
    let servers = || [one.http.clone(), two.http.clone()];
    let readers: Vec<_> =
        (0..READERS).map(|_| tokio::spawn(read(servers(), people.viewer.clone(), shared.clone()))).collect();
    comes_and_goes(&mut pair, &shared, (reads, paused)).await;
    shared.is_over.store(true, Ordering::SeqCst);
    for task in readers.into_iter().chain([poster]) {
        task.await.unwrap();
    }

    let mut from_standby = 0;
    for server in [&one, &two] {
        from_standby += people.standby_reads(server).await;
        assert!(people.fallbacks(server, "behind").await >= 1);
        people.until(server, Some("promoted")).await;
    }
    let (reads, posts) = (shared.reads.load(Ordering::SeqCst), shared.acknowledged.load(Ordering::SeqCst));
    eprintln!("{reads} reads, {from_standby} from the standby, beside {posts} posts");
    for line in people.lines(&one, "halfhour_standby_fallbacks_total").await {
        eprintln!("{line}");
    }
    assert!(from_standby >= 100 && posts >= 100, "{from_standby} {posts}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_falls_and_nothing_acknowledged_is_missing_while_a_standby_comes_and_goes() {
    nothing_falls((1_000, Duration::from_millis(700))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: ten thousand reads, and half minutes in which nothing is replayed"]
async fn the_same_over_ten_thousand_reads() {
    nothing_falls((10_000, Duration::from_secs(30))).await;
}
