//! Snapshots whose counts rise with their order, so that the checker can bound every sum.

use std::collections::BTreeMap;
use std::sync::Mutex;

use chrono::{DateTime, SecondsFormat, Utc};
use halfhour::kernel::bucket::{HalfHour, Model, Source, TokenCounts};
use halfhour::kernel::clock::Clock;
use halfhour::kernel::usage::snapshot::{Bucket, Rank, Stamp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::history::{Key, Keys, Micros, Snapshot};
use crate::random::Random;

/// By this machine's clock.
pub fn now() -> Micros {
    Clock::machine_now().timestamp_micros()
}

pub fn instant(at: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at).unwrap()
}

/// Recent half hours, of which listings show all.
const RECENT: i64 = 4;
/// Half hours of so long ago that what is taken now is late.
const OLD: i64 = 2;
const OLD_DAYS: i64 = 40;
const MODELS: [&str; 3] = ["claude-opus-4-5", "gpt-5.2-codex", "通义千问"];
const SOURCES: [&str; 2] = ["claude-code", "codex"];
/// More than the microseconds of any run, so that a higher rank has higher counts.
const STEP: i64 = 1_000_000_000_000 / 8;

/// Makes snapshots, each with a stamp of its own.
#[derive(Debug)]
pub struct Maker {
    began: Micros,
    last: Mutex<Micros>,
    /// The first of the recent half hours, in seconds since 1970.
    pub recent_from: i64,
}

/// A snapshot, and how it is posted.
#[derive(Clone, Debug)]
pub struct Made {
    pub snapshot: Snapshot,
    pub json: Value,
}

impl Maker {
    pub fn new() -> Self {
        let began = now();
        let half_hour = HalfHour::containing(instant(began)).unwrap().start().timestamp();
        Self { began, last: Mutex::new(began), recent_from: half_hour - RECENT * 1800 }
    }

    fn next_stamp(&self) -> Micros {
        let mut last = self.last.lock().unwrap();
        *last = now().max(*last + 1);
        *last
    }

    pub fn make(&self, random: &mut Random, keys: &Mutex<Keys>, user: usize, device: Uuid) -> Made {
        let stamp = self.next_stamp();
        let age = stamp - self.began;
        let old = random.once_in(5);
        let hours = if old { OLD } else { RECENT };
        let nth = i64::try_from(random.below(usize::try_from(hours).unwrap())).unwrap();
        let hour_start = self.recent_from + nth * 1800 - if old { OLD_DAYS * 86_400 } else { 0 };
        let kind = if old { random.below(4) } else { 0 };
        let (taken, retracts, total) = match kind {
            _ if !old => (stamp, false, age),
            // On time, for an old half hour: taken within a day of it.
            0 => (hour_start * 1_000_000 + age, false, STEP + age),
            1 => (stamp, true, 2 * STEP + age),
            // Late, and less than what was seen before.
            2 => (stamp, false, age / 2),
            _ => (stamp, false, age),
        };
        let source = SOURCES[random.below(SOURCES.len())].to_owned();
        let model = MODELS[random.below(MODELS.len())].to_owned();
        let counts =
            TokenCounts { input_tokens: total - total % 10, output_tokens: total % 10, ..TokenCounts::default() };
        let mut json = json!({
            "hour_start": instant(hour_start * 1_000_000).to_rfc3339_opts(SecondsFormat::Secs, true),
            "source": source, "model": model,
            "observed_at": instant(taken).to_rfc3339_opts(SecondsFormat::Micros, true),
            "input_tokens": counts.input_tokens, "output_tokens": counts.output_tokens,
        });
        if retracts {
            json["retracts"] = true.into();
        }
        let key = Key { user, device, hour_start, source, model };
        let rank = Rank::of(half_hour(hour_start), instant(taken), retracts);
        let snapshot = snapshot(keys, &key, taken, rank, counts);
        Made { snapshot, json }
    }
}

fn half_hour(hour_start: i64) -> HalfHour {
    HalfHour::new(instant(hour_start * 1_000_000)).unwrap()
}

/// A snapshot as the product would place it.
pub fn snapshot(keys: &Mutex<Keys>, key: &Key, taken: Micros, rank: Rank, counts: TokenCounts) -> Snapshot {
    let bucket = Bucket {
        hour_start: half_hour(key.hour_start),
        source: Source::parse(&key.source).unwrap(),
        model: Model::parse(&key.model).unwrap(),
        counts,
        stamp: Stamp { observed_at: instant(taken), stamped: true, rank },
    };
    Snapshot { key: keys.lock().unwrap().number(key.clone()), place: bucket.place(), total: counts.total(), taken }
}

/// A bucket of `GET /v1/buckets`. Recent half hours have no late snapshots.
pub fn listed(keys: &Mutex<Keys>, user: usize, bucket: &Value) -> Option<Snapshot> {
    let instant_of = |name: &str| bucket[name].as_str()?.parse::<DateTime<Utc>>().ok();
    let text = |name: &str| bucket[name].as_str().map(str::to_owned);
    let key = Key {
        user,
        device: bucket["device_id"].as_str()?.parse().ok()?,
        hour_start: instant_of("hour_start")?.timestamp(),
        source: text("source")?,
        model: text("model")?,
    };
    let counts = TokenCounts::from_values(TokenCounts::NAMES.map(|name| bucket[name].as_i64().unwrap_or(-1)));
    Some(snapshot(keys, &key, instant_of("observed_at")?.timestamp_micros(), Rank::OnTime, counts))
}

/// The users of a run by their ids.
pub type UserNumbers = BTreeMap<Uuid, usize>;
