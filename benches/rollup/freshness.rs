//! (c) How soon an acknowledged bucket is in the sums, while others post.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::Plan;
use super::support::client::Client;
use super::support::installation::Installation;
use super::support::load::{Load, percentile};
use super::support::posts::{Device, Format};
use super::support::table::{Table, milliseconds, rate};

const CLIENTS: usize = 64;
/// Users that post now and then and watch for it.
const PROBES: usize = 8;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Of the peak of posts, how much is posted meanwhile.
const SHARES: [f64; 2] = [0.5, 0.8];
/// Devices of the one who posts a history as fast as it is answered.
const HOT_DEVICES: usize = 16;
/// Buckets in each of those posts.
const HOT_BUCKETS: u32 = 100;

/// (c) While all post.
pub async fn ack_to_visible(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    on.admin.wait_for_the_relay().await?;
    let load = Load::new(on.server.address, &on.devices, CLIENTS, 1);
    let peak = load.run(plan.window).await?.rate;
    for share in SHARES {
        let part = Load { rate: Some(peak * share), ..load.clone() };
        watch(on, &part, format!("(c) at {share} of the peak"), plan, table).await?;
    }
    Ok(())
}

/// (h) While one user posts a history from many devices, and nobody else more than now and then.
pub async fn beside_a_hot_user(on: &mut Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let devices = on.user_of_devices("hot", HOT_DEVICES).await?;
    let load = Load::new(on.server.address, &devices, HOT_DEVICES, HOT_BUCKETS);
    watch(on, &load, "(h) beside a user with 16 devices that post a history".to_owned(), plan, table).await
}

/// Probes while others post.
async fn watch(
    on: &mut Installation,
    load: &Load,
    measure: String,
    plan: &Plan,
    table: &mut Table,
) -> anyhow::Result<()> {
    on.admin.wait_for_the_relay().await?;
    let end = Instant::now() + plan.window.warm_up + plan.window.measured;
    let mut probes = JoinSet::new();
    for device in on.devices.iter().skip(CLIENTS).take(PROBES) {
        let client = Client::connect(on.server.address).await?;
        probes.spawn(probe(client, device.clone(), end));
    }
    let kept = load.run(plan.window).await?.rate;
    let mut times = Vec::new();
    while let Some(part) = probes.join_next().await {
        times.extend(part??);
    }
    times.sort_unstable();
    ensure!(!times.is_empty(), "nothing became visible");
    let left = on.admin.wait_for_the_relay().await?;
    let shown = [50, 99].map(|per_cent| milliseconds(percentile(&times, per_cent))).join(" / ");
    let count = times.len();
    let measure = format!("{measure}, {} posts: from acknowledged to visible, p50 / p99 of {count}", rate(kept));
    table.note(measure, shown, "p99 <= 1 s");
    table.note("    until all was folded when the posts ended", milliseconds(left), "");
    Ok(())
}

/// Posts a bucket, reads until nothing is pending, and again.
async fn probe(mut client: Client, device: Arc<Device>, end: Instant) -> anyhow::Result<Vec<Duration>> {
    let (mut body, mut request, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let read = format!("GET /v1/rollups HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\r\n", device.viewer)
        .into_bytes();
    while Instant::now() < end {
        device.request(device.take(1), Format::Product { keyed: false }, &mut body, &mut request)?;
        let status = client.exchange(&request).await?;
        ensure!(status == 200, "not what was expected: {}", client.last_reply());
        let acknowledged = Instant::now();
        loop {
            let asked = Instant::now();
            let status = client.exchange(&read).await?;
            ensure!(status == 200, "not what was expected: {}", client.last_reply());
            if client.last_reply().contains("\"pending\":false") {
                times.push(asked.saturating_duration_since(acknowledged));
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(times)
}
