//! (b) How long dashboards wait, and (d) whether they wait longer when there is more.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::Days;
use tokio::task::JoinSet;

use super::Plan;
use super::support::client::Client;
use super::support::installation::Installation;
use super::support::load::{Window, percentile};
use super::support::posts::Device;
use super::support::table::{Table, median, milliseconds, rate};

/// Dashboards at once, each of another user.
const CLIENTS: usize = 64;

/// Reads a second, when each of the 64 dashboards asks twice.
const TWICE_A_SECOND: f64 = 128.0;

/// One question to the server.
#[derive(Clone, Debug)]
struct Read {
    name: &'static str,
    target: String,
    /// With the `ETag` of the first answer.
    conditional: bool,
    /// What p99 should stay below.
    wanted: &'static str,
}

impl Read {
    fn all() -> Vec<Self> {
        let today = halfhour::kernel::clock::Clock::machine_now().date_naive();
        let ago = |days| today.checked_sub_days(Days::new(days)).unwrap_or(today);
        let read = |name, target: String, wanted| Self { name, target, conditional: false, wanted };
        let month = format!("/v1/rollups?width=month&from={}&to={today}", ago(364));
        let thirty = format!("/v1/rollups?group_by=source&group_by=model&from={}&to={today}", ago(29));
        vec![
            read("30 days by source and model", thirty.clone(), "p99 <= 10 ms"),
            read("summary of 30 days", format!("/v1/rollups/summary?from={}&to={today}", ago(29)), "p99 <= 10 ms"),
            read("heatmap of a year", "/v1/rollups/heatmap?weeks=53".to_owned(), ""),
            read("a year by month", month, ""),
            read(
                "a day by half hour, from buckets",
                format!("/v1/rollups?width=half_hour&from={0}&to={0}", ago(3)),
                "",
            ),
            Self { name: "30 days that have not changed: 304", target: thirty, conditional: true, wanted: "" },
        ]
    }
}

/// Each read by dashboards that ask twice a second, and at half of the rate at which it saturates the server.
pub async fn latency(on: &Installation, plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    for read in Read::all() {
        let peak = run(on, &read, None, plan.window).await?;
        let half = count(&peak)? / plan.window.measured.as_secs_f64() / 2.0;
        let loads = [
            (TWICE_A_SECOND, format!("{CLIENTS} dashboards ask twice a second")),
            (half, format!("half of its peak, {}", rate(half))),
        ];
        for (per_second, load) in loads {
            let (mut p50, mut p99) = (Vec::new(), Vec::new());
            for _ in 0..plan.rounds {
                let times = run(on, &read, Some(per_second), plan.window).await?;
                p50.push(percentile(&times, 50).as_secs_f64());
                p99.push(percentile(&times, 99).as_secs_f64());
            }
            // Whatever else the machine does now and then only makes reads slower.
            let least = p99.iter().copied().fold(f64::INFINITY, f64::min);
            let [p50, p99, least] =
                [median(p50), median(p99), least].map(|time| milliseconds(Duration::from_secs_f64(time)));
            let measure = format!("(b) {}, {load}: p50, p99, p99 of the least disturbed run", read.name);
            table.note(measure, format!("{p50}, {p99}, {least}"), read.wanted);
        }
    }
    Ok(())
}

/// The same reads at the same rate on both installations, in turns of a second: all reads, and then all of them again. Each
/// side's p99 is the median over its seconds: whatever else the machine does now and then disturbs a few of them.
pub async fn growth(sides: &[Installation], plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let [small, large] = sides else { anyhow::bail!("two sizes are compared") };
    let mut compared = Vec::new();
    for read in Read::all().into_iter().filter(|read| !read.conditional) {
        let peak = run(small, &read, None, plan.window).await?;
        let half = count(&peak)? / plan.window.measured.as_secs_f64() / 2.0;
        compared.push((read, half, [Vec::new(), Vec::new()]));
    }
    let second = Window { measured: Duration::from_secs(1), ..plan.window };
    for turn in 0..2 * u64::from(plan.rounds) * plan.window.measured.as_secs() {
        for (read, half, p99) in &mut compared {
            let mut sides: Vec<_> = [small, large].into_iter().zip(p99).collect();
            if turn % 2 == 1 {
                sides.reverse();
            }
            for (side, p99) in sides {
                let times = run(side, read, Some(*half), second).await?;
                eprintln!(
                    "W {} {} {} {:?} {:?} {:?}",
                    turn,
                    read.name.replace(' ', "_"),
                    side.devices.len() + usize::from(std::ptr::eq(side, large)),
                    percentile(&times, 50),
                    percentile(&times, 90),
                    percentile(&times, 99)
                );
                p99.push(percentile(&times, 99).as_secs_f64());
            }
        }
    }
    for (read, half, p99) in compared {
        let [small_p99, large_p99] = p99.map(|p99| Duration::from_secs_f64(median(p99)));
        let measure =
            format!("(d) {}: p99 at {}, {} / {} buckets", read.name, rate(half), plan.sizes[0], plan.sizes[1]);
        let ratio = large_p99.as_secs_f64() / small_p99.as_secs_f64().max(f64::MIN_POSITIVE);
        let times = format!("{} / {}: {ratio:.2}", milliseconds(small_p99), milliseconds(large_p99));
        table.note(measure, times, "<= 1.2");
    }
    Ok(())
}

fn count(times: &[Duration]) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(times.len())?))
}

/// How long every read within the window took, sorted; by a common schedule, or as fast as they are answered.
async fn run(on: &Installation, read: &Read, rate: Option<f64>, window: Window) -> anyhow::Result<Vec<Duration>> {
    let mut sessions = JoinSet::new();
    let ticket = Arc::new(AtomicU32::new(0));
    let mut prepared = Vec::new();
    for device in on.devices.iter().take(CLIENTS) {
        prepared.push(prepare(on, device, read).await?);
    }
    let begun = Instant::now();
    let measured = begun + window.warm_up..begun + window.warm_up + window.measured;
    let interval = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
    for (client, request, status) in prepared {
        let session = Session { client, request, status, begun, measured: measured.clone(), interval };
        sessions.spawn(session.run(ticket.clone()));
    }
    let mut times = Vec::new();
    while let Some(part) = sessions.join_next().await {
        times.extend(part??);
    }
    times.sort_unstable();
    Ok(times)
}

/// A connection that has asked once, what it asks, and what it is answered.
async fn prepare(on: &Installation, device: &Device, read: &Read) -> anyhow::Result<(Client, Vec<u8>, u16)> {
    let mut client = Client::connect(on.server.address).await?;
    let head = format!("GET {} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n", read.target, device.viewer);
    let plain = format!("{head}\r\n").into_bytes();
    let status = client.exchange(&plain).await?;
    ensure!(status == 200, "not what was expected: {}", client.last_reply());
    if !read.conditional {
        return Ok((client, plain, 200));
    }
    let tag = client.header("etag").unwrap_or_default();
    Ok((client, format!("{head}if-none-match: {tag}\r\n\r\n").into_bytes(), 304))
}

/// One dashboard.
struct Session {
    client: Client,
    request: Vec<u8>,
    status: u16,
    begun: Instant,
    measured: Range<Instant>,
    interval: Option<Duration>,
}

impl Session {
    async fn run(mut self, ticket: Arc<AtomicU32>) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        loop {
            // By schedule, time counts from when the read was due.
            let started = match self.interval {
                Some(interval) => {
                    let due = self.begun + interval * ticket.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep_until(due.into()).await;
                    due
                }
                None => Instant::now(),
            };
            if started >= self.measured.end {
                return Ok(times);
            }
            let status = self.client.exchange(&self.request).await?;
            ensure!(status == self.status, "not what was expected: {}", self.client.last_reply());
            let ended = Instant::now();
            if self.measured.contains(&ended) {
                times.push(ended.saturating_duration_since(started));
            }
        }
    }
}
