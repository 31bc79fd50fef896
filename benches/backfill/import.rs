//! One import, as an operator leads it over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Days, NaiveTime, SecondsFormat, TimeDelta, Utc};
use halfhour::kernel::clock::Clock;
use serde_json::Value;

use super::support::client::Client;
use super::support::posts::{Device, KINDS};

/// Every line is padded to this length, so that the length of the body is known before it is made.
const LINE: usize = 320;
/// How often to look how far a job is.
const PAUSE: Duration = Duration::from_millis(50);
/// The import's first day is so many days ago, and it spans so many.
const FIRST: u64 = 60;
const SPAN: u64 = 30;

/// A connection of an operator, and the job that it leads.
pub struct Import {
    client: Client,
    operator: String,
    job: String,
    version: i64,
}

impl Import {
    pub async fn connect(address: SocketAddr, operator: String) -> anyhow::Result<Self> {
        Ok(Self { client: Client::connect(address).await?, operator, job: String::new(), version: 0 })
    }

    /// Streams so many buckets of these devices into a plan. Returns how long that took.
    pub async fn plan(&mut self, devices: &[Arc<Device>], buckets: u32) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let first_day = Clock::machine_now().date_naive() - Days::new(FIRST);
        let start = first_day.and_time(NaiveTime::MIN).and_utc();
        let head = format!(
            "POST /v1/backfills?action=import&reason=bench&from={first_day}&to={} HTTP/1.1\r\nhost: bench\r\n\
             authorization: Bearer {}\r\nidempotency-key: bench\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {}\r\n\r\n",
            first_day + Days::new(SPAN),
            self.operator,
            u64::from(buckets) * LINE as u64,
        );
        self.client.send(head.as_bytes()).await?;
        let each = buckets / u32::try_from(devices.len())?;
        let mut rest = buckets;
        let mut part = String::new();
        for (index, device) in devices.iter().enumerate() {
            let take = if index + 1 == devices.len() { rest } else { each };
            rest -= take;
            for place in 0..take {
                push_line(&mut part, device, start, place)?;
            }
            self.client.send(part.as_bytes()).await?;
            part.clear();
        }
        let status = self.client.reply().await?;
        ensure!(status == 201, "not what was expected: {}", self.client.last_reply());
        let job: Value = serde_json::from_slice(self.client.body())?;
        ensure!(job["state"] == "planned" && job["progress"]["total"] == buckets, "not a whole plan: {job}");
        job["id"].as_str().context("a job without an id")?.clone_into(&mut self.job);
        self.version = job["version"].as_i64().context("a job without a version")?;
        Ok(begun.elapsed())
    }

    /// Executes the plan. Returns how long it took until everything was folded, too.
    pub async fn execute(&mut self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let head = format!("/v1/backfills/{}", self.job);
        let bearer = format!("host: bench\r\nauthorization: Bearer {}\r\n", self.operator);
        let execute = format!(
            "POST {head}/execute HTTP/1.1\r\n{bearer}if-match: \"{}\"\r\ncontent-length: 0\r\n\r\n",
            self.version
        )
        .into_bytes();
        let status = self.client.exchange(&execute).await?;
        ensure!((200..300).contains(&status), "not what was expected: {}", self.client.last_reply());
        let look = format!("GET {head} HTTP/1.1\r\n{bearer}\r\n").into_bytes();
        loop {
            let status = self.client.exchange(&look).await?;
            ensure!(status == 200, "not what was expected: {}", self.client.last_reply());
            let job: Value = serde_json::from_slice(self.client.body())?;
            match job["state"].as_str() {
                Some("running") => tokio::time::sleep(PAUSE).await,
                Some("succeeded") => return Ok(begun.elapsed()),
                _ => anyhow::bail!("the job did not end well: {job}"),
            }
        }
    }
}

/// One bucket of a device as a line of that length.
fn push_line(text: &mut String, device: &Device, start: DateTime<Utc>, place: u32) -> anyhow::Result<()> {
    use std::fmt::Write as _;
    let (half_hour, kind) = (place / 8, place as usize % 8);
    let (source, model) = KINDS[kind];
    let hour_start = (start + TimeDelta::minutes(30 * i64::from(half_hour))).to_rfc3339_opts(SecondsFormat::Secs, true);
    let begun = text.len();
    write!(
        text,
        "{{\"user_id\":\"{}\",\"device_id\":\"{}\",\"hour_start\":\"{hour_start}\",\"source\":\"{source}\",\
         \"model\":\"{model}\",\"input_tokens\":{},\"output_tokens\":800}}",
        device.user_id,
        device.device_id,
        1200 + place % 997,
    )?;
    let length = text.len() - begun;
    ensure!(length < LINE, "a line of {length} bytes");
    text.extend(std::iter::repeat_n(' ', LINE - 1 - length));
    text.push('\n');
    Ok(())
}
