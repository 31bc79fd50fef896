//! Load: many clients at once, each as fast as it is answered, or all together by a fixed schedule.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::client::Client;
use super::posts::{Device, Format};

/// How long to measure, and how long to let things settle before.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub warm_up: Duration,
    pub measured: Duration,
}

/// What to post.
#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    /// The devices of each client; more than one take turns.
    pub clients: Vec<Vec<Arc<Device>>>,
    /// Buckets in a post.
    pub buckets: u32,
    /// Posts that went before, device by device, to send again; `None` for new ones.
    pub again: Option<Vec<Range<u32>>>,
    /// Posts a second by schedule; `None` for as fast as they are answered.
    pub rate: Option<f64>,
    /// Whether refusals are expected.
    pub overload: bool,
    pub format: Format,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Of each post that was accepted within the window: the time it took, sorted.
    pub accepted: Vec<Duration>,
    /// 503 within the window: the time it took, sorted.
    pub overloaded: Vec<Duration>,
    /// 429 within the window.
    pub limited: u32,
    /// All posts that were accepted, before and after the window too.
    pub posts: u32,
    /// Buckets acknowledged as inserted, before and after the window too.
    pub inserted: u32,
    /// Posts a second within the window.
    pub rate: f64,
}

impl Load {
    /// Clients that post new buckets as fast as they are answered, a device each.
    pub fn new(address: SocketAddr, devices: &[Arc<Device>], clients: usize, buckets: u32) -> Self {
        let clients = devices.iter().take(clients).map(|device| vec![device.clone()]).collect();
        let format = Format::Product { keyed: false };
        Self { address, clients, buckets, again: None, rate: None, overload: false, format }
    }

    /// Runs it. Errors: a reply that is not expected, or a connection that broke.
    pub async fn run(&self, window: Window) -> anyhow::Result<Outcome> {
        let mut connections = Vec::new();
        for _ in &self.clients {
            connections.push(Client::connect(self.address).await?);
        }
        let schedule = Schedule::begin(window, self.rate);
        let mut tasks = JoinSet::new();
        for ((index, devices), client) in self.clients.iter().enumerate().zip(connections) {
            let again = self.again.as_ref().and_then(|ranges| ranges.get(index)).cloned();
            let session = Session {
                client,
                devices: devices.clone(),
                buckets: self.buckets,
                again,
                overload: self.overload,
                format: self.format,
                schedule: schedule.clone(),
            };
            tasks.spawn(session.run());
        }
        let mut outcome = Outcome::default();
        while let Some(part) = tasks.join_next().await {
            outcome.add(part??);
        }
        outcome.accepted.sort_unstable();
        outcome.overloaded.sort_unstable();
        outcome.rate = f64::from(u32::try_from(outcome.accepted.len())?) / window.measured.as_secs_f64();
        Ok(outcome)
    }
}

impl Outcome {
    fn add(&mut self, part: Self) {
        self.accepted.extend(part.accepted);
        self.overloaded.extend(part.overloaded);
        self.limited += part.limited;
        self.posts += part.posts;
        self.inserted += part.inserted;
    }
}

/// The time below which `per_cent` of the sorted times lie.
pub fn percentile(times: &[Duration], per_cent: usize) -> Duration {
    times.get((times.len() * per_cent / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// When each of all clients' requests is due.
#[derive(Clone, Debug)]
pub struct Schedule {
    begun: Instant,
    measured: Range<Instant>,
    /// Between two requests; `None` for as soon as the one before is answered.
    interval: Option<Duration>,
    ticket: Arc<AtomicU32>,
}

impl Schedule {
    /// Begins now; `rate` is in requests a second.
    pub fn begin(window: Window, rate: Option<f64>) -> Self {
        let begun = Instant::now();
        let opens = begun + window.warm_up;
        let interval = rate.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Self { begun, measured: opens..opens + window.measured, interval, ticket: Arc::default() }
    }

    /// Waits until a request is due. Time counts from then, however late its client came to it. `None` after the window.
    pub async fn next(&self) -> Option<Instant> {
        let due = match self.interval {
            Some(interval) => {
                let due = self.begun + interval * self.ticket.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep_until(due.into()).await;
                due
            }
            None => Instant::now(),
        };
        (due < self.measured.end).then_some(due)
    }

    /// How long a request took that was due then and is answered now; `None` where that is outside of the window.
    pub fn took_since(&self, due: Instant) -> Option<Duration> {
        let now = Instant::now();
        self.measured.contains(&now).then(|| now.saturating_duration_since(due))
    }
}

/// One client's part.
struct Session {
    client: Client,
    devices: Vec<Arc<Device>>,
    buckets: u32,
    again: Option<Range<u32>>,
    overload: bool,
    format: Format,
    schedule: Schedule,
}

impl Session {
    async fn run(mut self) -> anyhow::Result<Outcome> {
        let (mut body, mut request) = (Vec::new(), Vec::new());
        let mut outcome = Outcome::default();
        for turn in 0.. {
            let device = &self.devices[turn % self.devices.len()];
            let places = match &self.again {
                Some(range) => {
                    let posts = (range.end - range.start) / self.buckets;
                    let first = range.start + u32::try_from(turn)? % posts.max(1) * self.buckets;
                    first..first + self.buckets
                }
                None => device.take(self.buckets),
            };
            device.request(places, self.format, &mut body, &mut request)?;
            let Some(due) = self.schedule.next().await else { break };
            let status = self.client.exchange(&request).await?;
            let took = self.schedule.took_since(due);
            match status {
                503 if self.overload => outcome.overloaded.extend(took),
                429 if self.overload => outcome.limited += u32::from(took.is_some()),
                _ => {
                    outcome.inserted += self.inserted(status)?;
                    outcome.posts += 1;
                    outcome.accepted.extend(took);
                }
            }
        }
        Ok(outcome)
    }

    /// How many buckets the last reply says were inserted. Errors: it does not acknowledge the whole post.
    fn inserted(&self, status: u16) -> anyhow::Result<u32> {
        let (inserted, settled) = match (self.format, status) {
            (Format::Product { .. }, 200) => {
                let inserted = self.client.number("inserted")?;
                (inserted, if self.again.is_some() { self.client.number("unchanged")? } else { inserted })
            }
            // It says no more than that all were accepted.
            (Format::Lines, 204) if self.client.body().is_empty() => (self.buckets, self.buckets),
            _ => (0, 0),
        };
        ensure!(settled == self.buckets, "not what was expected: {}", self.client.last_reply());
        Ok(inserted)
    }
}
