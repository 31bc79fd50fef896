//! What reads cost the primary, with a standby and without one.

use std::fs;
use std::time::{Duration, Instant};

use super::cluster::Pair;
use super::{history, home, people};
use crate::external_database;
use crate::http::recent;
use crate::processes::children_of;
use crate::support::Server;

/// As many clients there are, and as many reads each makes of each kind.
const CLIENTS: usize = 16;
const READS: u32 = 150;

/// Processor time of a process and its children so far.
fn processor_time(pid: u32) -> Duration {
    let mut pids = children_of(pid);
    pids.push(pid);
    let spent = |pid: u32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(pids.into_iter().filter_map(spent).sum())
}

/// Everybody reads a path. How long the primary was busy by that, a read, and how many were read a second.
async fn cost_of(server: &Server, primary: u32, viewer: &str, (path, etag): (&str, Option<&str>)) -> (Duration, f64) {
    let client = reqwest::Client::new();
    let one = async || {
        let request = client.get(format!("{}{path}", server.url)).bearer_auth(viewer);
        let request = etag.into_iter().fold(request, |request, etag| request.header("if-none-match", etag));
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status().as_u16(), if etag.is_some() { 304 } else { 200 });
        reply.bytes().await.unwrap();
    };
    let many = async || {
        for _ in 0..READS {
            one().await;
        }
    };
    futures_util::future::join_all((0..CLIENTS).map(|_| one())).await;
    let (began, before) = (Instant::now(), processor_time(primary));
    futures_util::future::join_all((0..CLIENTS).map(|_| many())).await;
    let reads = u32::try_from(CLIENTS).unwrap() * READS;
    (processor_time(primary).saturating_sub(before) / reads, f64::from(reads) / began.elapsed().as_secs_f64())
}

/// What one reader alone waits for a read, in the middle.
async fn median(server: &Server, viewer: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..READS {
        let began = Instant::now();
        assert_eq!(server.get(viewer, "/v1/rollups?group_by=source,model").await.status, 200);
        times.push(began.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: cargo test --test server_process standby::cost -- --ignored --nocapture"]
async fn what_a_read_costs_the_primary() {
    let pair = Pair::start().await;
    let reading = home(&pair, &pair.standby.url());
    let alone = external_database::home(&pair.url()).with_any_age().with("HALFHOUR_LIMIT_VIEWER_PER_MINUTE", "0");
    let (with, without) = (reading.serve().await, alone.serve().await);
    let people = people(&reading);
    let viewer = &*people.viewer;
    for post in history() {
        with.post(&people.device, &post).await;
    }
    with.folded(&people.viewer, "/v1/rollups").await;
    people.until(&with, None).await;

    let primary = pair.primary_pid();
    let idle = processor_time(primary);
    tokio::time::sleep(Duration::from_secs(5)).await;
    eprintln!("at rest the primary is busy for {:?} a second", processor_time(primary).saturating_sub(idle) / 5);
    let client = reqwest::Client::new();
    for path in ["/v1/rollups?group_by=source,model", "/v1/rollups/heatmap?weeks=53", "/v1/rollups/summary"] {
        let first = client.get(format!("{}{path}", with.url)).bearer_auth(viewer).send().await.unwrap();
        let etag = first.headers()["etag"].to_str().unwrap().to_owned();
        for etag in [None, Some(&*etag)] {
            let (alone, fast) = cost_of(&without, primary, viewer, (path, etag)).await;
            let (beside, slow) = cost_of(&with, primary, viewer, (path, etag)).await;
            let what = if etag.is_some() { "304" } else { "200" };
            eprintln!(
                "{path} {what}: {alone:?} of the primary a read without a standby, {beside:?} with one; {fast:.0} and \
                 {slow:.0} reads a second"
            );
        }
    }
    eprintln!("alone: {:?} a read, {:?} with a standby", median(&without, viewer).await, median(&with, viewer).await);
    let (http, device) = (with.http.clone(), people.device.clone());
    let posts = tokio::spawn(async move {
        for number in 2.. {
            http.post(&device, &recent("m", number)).await;
        }
    });
    let (fast, slow) = (median(&without, viewer).await, median(&with, viewer).await);
    posts.abort();
    eprintln!("beside posts: {fast:?} a read, {slow:?} with a standby");
    let fallbacks = people.lines(&with, "halfhour_standby_fallbacks_total").await;
    eprintln!("{} from the standby; {fallbacks:?}", people.standby_reads(&with).await);
    with.stop().await;
    without.stop().await;
}
