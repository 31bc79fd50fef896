//! The vocabulary of usage: half hours, sources, models and disjoint token counts. Pure: no database, no HTTP.

use chrono::{DateTime, TimeDelta, Utc};

/// Half an hour, in seconds.
pub const HALF_HOUR_S: i64 = 1800;

/// The tools that may report usage; `usage.bucket` has the same list in a CHECK, and a test compares them.
pub const SOURCES: [&str; 18] = [
    "claude-code",
    "codex",
    "every-code",
    "gemini-cli",
    "opencode",
    "cursor",
    "cline",
    "roo-code",
    "kilo-code",
    "copilot",
    "qwen-code",
    "aider",
    "goose",
    "amp",
    "droid",
    "kiro",
    "api",
    "other",
];

/// No count is larger than this.
pub const MAX_COUNT: i64 = 1_000_000_000_000;

/// A post has this many buckets at most.
pub const MAX_POSTED: u16 = 500;

/// The start of a half hour: UTC, on `:00` or `:30`, from 2020 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HalfHour(DateTime<Utc>);

impl HalfHour {
    /// The earliest one.
    pub const FIRST: DateTime<Utc> = match DateTime::from_timestamp_secs(1_577_836_800) {
        Some(first) => first,
        None => DateTime::<Utc>::UNIX_EPOCH,
    };

    /// `None` when `start` is not on a half hour or is before 2020.
    pub fn new(start: DateTime<Utc>) -> Option<Self> {
        let aligned = start.timestamp() % HALF_HOUR_S == 0 && start.timestamp_subsec_nanos() == 0;
        (aligned && start >= Self::FIRST).then_some(Self(start))
    }

    /// The half hour that contains `instant`, which must not be before 2020.
    pub fn containing(instant: DateTime<Utc>) -> Option<Self> {
        let into = instant.timestamp().rem_euclid(HALF_HOUR_S);
        let nanos = i64::from(instant.timestamp_subsec_nanos());
        Self::new(instant - TimeDelta::seconds(into) - TimeDelta::nanoseconds(nanos))
    }

    /// Its first instant.
    pub const fn start(self) -> DateTime<Utc> {
        self.0
    }
}

/// A tool from the allowlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(&'static str);

impl Source {
    /// `None` when it is not on the list.
    pub fn parse(text: &str) -> Option<Self> {
        SOURCES.into_iter().find(|source| *source == text).map(Self)
    }

    /// As stored.
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

/// A model's name: 1 to 128 of `A-Z a-z 0-9 . _ : / @ + -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model(String);

impl Model {
    /// `None` when it is not well formed.
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@+-".contains(&byte);
        let well_formed = (1..=128).contains(&text.len()) && text.bytes().all(allowed);
        well_formed.then(|| Self(text.to_owned()))
    }

    /// As stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Absolute counts of one bucket. The order of the fields is the order of the columns: it decides between two versions
/// with the same stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenCounts {
    /// Uncached input.
    pub input_tokens: i64,
    /// Input served from a prompt cache.
    pub cache_read_tokens: i64,
    /// Input written to a 5-minute cache.
    pub cache_write_5m_tokens: i64,
    /// Input written to a 1-hour cache.
    pub cache_write_1h_tokens: i64,
    /// All output, including reasoning.
    pub output_tokens: i64,
    /// The part of the output that was reasoning.
    pub reasoning_tokens: i64,
    /// Tokens reported only as a total.
    pub unclassified_tokens: i64,
    /// Model requests.
    pub request_count: i64,
}

impl TokenCounts {
    /// The counters as columns, in the order of the fields.
    pub const NAMES: [&'static str; 8] = [
        "input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "reasoning_tokens",
        "unclassified_tokens",
        "request_count",
    ];

    /// All tokens: the disjoint classes. Reasoning is inside output.
    pub const fn total(&self) -> i64 {
        self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.output_tokens
            + self.unclassified_tokens
    }
}

/// What tells one bucket from all others.
#[derive(Clone, Copy, Debug)]
pub struct BucketKey;

impl BucketKey {
    /// The key's columns, in the order of the primary key.
    pub const COLUMNS: [&'static str; 5] = ["user_id", "hour_start", "device_id", "source", "model"];
}

/// When a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// The instant, to the microsecond.
    pub observed_at: DateTime<Utc>,
    /// True where the tracker said so, false where the server took the arrival time.
    pub stamped: bool,
}

/// One snapshot as a tracker reports it. Whose it is, the writer takes from the principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The half hour.
    pub hour_start: HalfHour,
    /// The tool.
    pub source: Source,
    /// The model.
    pub model: Model,
    /// What was used.
    pub counts: TokenCounts,
    /// When it was observed.
    pub stamp: Stamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_half_hour_starts_on_the_half_hour_from_2020_on() {
        for good in ["2020-01-01T00:00:00Z", "2026-11-20T10:30:00Z", "2026-11-20T12:30:00+02:00"] {
            assert!(HalfHour::new(instant(good)).is_some(), "{good}");
        }
        for bad in
            ["2019-12-31T23:30:00Z", "2026-11-20T10:31:00Z", "2026-11-20T10:30:00.000001Z", "2026-11-20T10:45:00+00:30"]
        {
            assert_eq!(HalfHour::new(instant(bad)), None, "{bad}");
        }
        assert_eq!(HalfHour::FIRST, instant("2020-01-01T00:00:00Z"));
    }

    #[test]
    fn the_half_hour_of_an_instant_contains_it() {
        let half_hour = HalfHour::containing(instant("2026-11-20T10:59:59.999999Z")).unwrap();
        assert_eq!(half_hour.start(), instant("2026-11-20T10:30:00Z"));
        assert_eq!(HalfHour::containing(half_hour.start()), Some(half_hour));
    }

    #[test]
    fn a_model_has_1_to_128_plain_characters() {
        assert!(Model::parse("anthropic/claude-opus-4.5@2026:x+y_z").is_some());
        assert!(Model::parse(&"m".repeat(128)).is_some());
        for bad in ["", "a b", "é", "a\n", "a'b", &"m".repeat(129)] {
            assert_eq!(Model::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn versions_with_the_same_stamp_are_ordered_by_their_counts_in_column_order() {
        let more_input = TokenCounts { input_tokens: 2, ..TokenCounts::default() };
        let more_output = TokenCounts { input_tokens: 1, output_tokens: 900, ..TokenCounts::default() };
        assert!(more_input > more_output);
    }
}
