//! What is posted: for every device a row of buckets without end, each of them new, through HTTP and through SQL alike.

use std::io::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use halfhour::kernel::bucket::TokenCounts;
use uuid::Uuid;

/// The kinds of bucket in one half hour of one device, sorted as the primary key is.
pub const KINDS: [(&str, &str); 8] = [
    ("claude-code", "claude-haiku-4-5"),
    ("claude-code", "claude-opus-4-5"),
    ("claude-code", "claude-sonnet-4-5"),
    ("codex", "gpt-5.2"),
    ("codex", "gpt-5.2-codex"),
    ("cursor", "claude-sonnet-4-5"),
    ("gemini-cli", "gemini-3-pro"),
    ("opencode", "glm-4.7"),
];

/// A device that posts. A raw one is known to the database only by its rows.
#[derive(Debug)]
pub struct Device {
    pub user_id: Uuid,
    pub device_id: Uuid,
    pub token: String,
    /// The token with which its user reads.
    pub viewer: String,
    /// Where its buckets begin.
    pub epoch: DateTime<Utc>,
    next: AtomicU32,
}

/// One bucket.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub hour_start: DateTime<Utc>,
    pub source: &'static str,
    pub model: &'static str,
    pub counts: TokenCounts,
}

/// How a post is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For the product, with an `Idempotency-Key` or without one.
    Product { keyed: bool },
    /// InfluxDB's line protocol, into the database `bench`.
    Lines,
}

impl Sample {
    pub fn observed_at(&self) -> DateTime<Utc> {
        self.hour_start + TimeDelta::minutes(29)
    }

    /// The counters as they are sent, each with its name: trackers leave zeros out.
    fn nonzero_counts(&self) -> impl Iterator<Item = (&'static str, i64)> {
        TokenCounts::NAMES.into_iter().zip(self.counts.into_values()).filter(|(_, count)| *count != 0)
    }
}

impl Device {
    pub fn new(user_id: Uuid, device_id: Uuid, [token, viewer]: [String; 2], epoch: DateTime<Utc>) -> Self {
        Self { user_id, device_id, token, viewer, epoch, next: AtomicU32::new(0) }
    }

    /// Reserves the next buckets: nobody posted them before.
    pub fn take(&self, count: u32) -> Range<u32> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        first..first + count
    }

    /// How many were reserved so far.
    pub fn taken(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }

    /// The bucket at a place: eight in a half hour, then the next half hour.
    pub fn sample(&self, place: u32) -> Sample {
        let (half_hour, kind) = (place / 8, place % 8);
        let (source, model) = KINDS[kind as usize];
        let count = |base: i64| base + i64::from(place % 997);
        Sample {
            hour_start: self.epoch + TimeDelta::minutes(30 * i64::from(half_hour)),
            source,
            model,
            counts: TokenCounts {
                input_tokens: count(1200),
                cache_read_tokens: count(90_000),
                cache_write_1h_tokens: count(300),
                output_tokens: count(800),
                reasoning_tokens: 200,
                request_count: count(1),
                ..TokenCounts::default()
            },
        }
    }

    /// A whole HTTP request that posts these buckets.
    pub fn request(
        &self,
        places: Range<u32>,
        format: Format,
        body: &mut Vec<u8>,
        request: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        body.clear();
        request.clear();
        match format {
            Format::Product { keyed } => {
                self.write_json(places.clone(), body)?;
                write!(
                    request,
                    "POST /v1/buckets HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\n\
                     content-type: application/json\r\n",
                    self.token,
                )?;
                if keyed {
                    write!(request, "idempotency-key: bench-{}\r\n", places.start)?;
                }
            }
            Format::Lines => {
                self.write_lines(places, body)?;
                request.extend_from_slice(b"POST /write?db=bench&precision=s HTTP/1.1\r\nhost: bench\r\n");
            }
        }
        write!(request, "content-length: {}\r\n\r\n", body.len())?;
        request.extend_from_slice(body);
        Ok(())
    }

    fn write_json(&self, places: Range<u32>, body: &mut Vec<u8>) -> std::io::Result<()> {
        body.extend_from_slice(b"{\"buckets\":[");
        let mut times = (None, String::new(), String::new());
        for place in places.clone() {
            let sample = self.sample(place);
            if times.0 != Some(sample.hour_start) {
                let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
                times = (Some(sample.hour_start), text(sample.hour_start), text(sample.observed_at()));
            }
            let comma = if place == places.start { "" } else { "," };
            let (_, hour_start, observed_at) = &times;
            write!(
                body,
                "{comma}{{\"hour_start\":\"{hour_start}\",\"source\":\"{}\",\"model\":\"{}\",\
                 \"observed_at\":\"{observed_at}\"",
                sample.source, sample.model,
            )?;
            for (name, count) in sample.nonzero_counts() {
                write!(body, ",\"{name}\":{count}")?;
            }
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        Ok(())
    }

    /// One line a bucket, with its hour in seconds. No name in it has a character that would have to be escaped.
    fn write_lines(&self, places: Range<u32>, body: &mut Vec<u8>) -> std::io::Result<()> {
        for place in places {
            let sample = self.sample(place);
            let (user, device) = (self.user_id, self.device_id);
            write!(body, "bucket,user={user},device={device},source={},model={}", sample.source, sample.model)?;
            let mut separator = ' ';
            for (name, count) in sample.nonzero_counts() {
                write!(body, "{separator}{name}={count}i")?;
                separator = ',';
            }
            writeln!(body, " {}", sample.hour_start.timestamp())?;
        }
        Ok(())
    }
}
