//! One line of a log: an M1 line, somebody else's, or a broken one.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use serde::de::{Error, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

/// What a line is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, and a box would be an allocation for each line")]
pub enum LineKind<'a> {
    /// An M1 line.
    Known(LogLine<'a>),
    /// Readable, or no JSON object at all, but no M1 line: the server's other messages are such, too.
    Foreign,
    /// It begins like a JSON object and is not exactly one.
    Broken(&'static str),
}

/// What an M1 line says of whose fault it was. Fields that are absent count as null.
#[derive(Debug, Deserialize)]
pub struct LogLine<'a> {
    /// When it was written, as it says.
    #[serde(borrow, default)]
    pub timestamp: Option<Text<'a>>,
    /// By which its caller knows it.
    #[serde(borrow)]
    pub request_id: Text<'a>,
    /// The operation, or the worker's step.
    #[serde(borrow)]
    pub function: Text<'a>,
    /// Only proves that the line is one.
    #[serde(borrow, rename = "stage")]
    _stage: Text<'a>,
    /// What was answered.
    #[serde(deserialize_with = "status")]
    pub status: u16,
    /// From receipt to the answer's head.
    #[serde(deserialize_with = "milliseconds")]
    pub latency_ms: f64,
    /// The problem's code.
    #[serde(borrow, default)]
    pub error_code: Option<Text<'a>>,
    /// `client`, `server` or `dependency`.
    #[serde(borrow, default)]
    pub fault: Option<Text<'a>>,
    /// What the database last answered.
    #[serde(default)]
    pub upstream_status: Option<u16>,
    /// How long was waited for it.
    #[serde(default, deserialize_with = "some_milliseconds")]
    pub upstream_latency_ms: Option<f64>,
    /// Why there is no answer.
    #[serde(borrow, default)]
    pub upstream_evidence: Option<Text<'a>>,
    /// Whom the line itself blames.
    #[serde(borrow, default)]
    pub attribution: Option<Text<'a>>,
}

impl<'a> LineKind<'a> {
    /// Reads a line. Never fails: what it is not, it says.
    pub fn of(line: &'a [u8]) -> Self {
        if line.trim_ascii_start().first() != Some(&b'{') {
            return Self::Foreign;
        }
        match serde_json::from_slice::<LogLine<'a>>(line) {
            Ok(known) => Self::Known(known),
            Err(error) if error.classify() == Category::Data => match serde_json::from_slice::<IgnoredAny>(line) {
                // All of it can be read, and it says something else.
                Ok(_) => Self::Foreign,
                Err(error) => Self::Broken(why(&error)),
            },
            Err(error) => Self::Broken(why(&error)),
        }
    }
}

fn why(error: &serde_json::Error) -> &'static str {
    if error.classify() == Category::Eof { "it is cut off" } else { "it is not one JSON object" }
}

impl LogLine<'_> {
    /// When it was written; `None` where it does not say so readably.
    pub fn at(&self) -> Option<DateTime<Utc>> {
        let text = self.timestamp.as_deref()?;
        DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
    }
}

/// A text that is borrowed from the line where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ReadText).map(Self)
    }
}

struct ReadText;

impl<'de> Visitor<'de> for ReadText {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Longer than any call takes, and short enough to be doubled.
const LONGEST_MS: f64 = 1e12;

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (100..600).contains(&status) { Ok(status) } else { Err(D::Error::custom("no status of HTTP")) }
}

fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let time = f64::deserialize(deserializer)?;
    if time >= 0.0 { Ok(time.min(LONGEST_MS)) } else { Err(D::Error::custom("no time")) }
}

fn some_milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Option::<f64>::deserialize(deserializer)? {
        Some(time) if time < 0.0 => Err(D::Error::custom("no time")),
        time => Ok(time.map(|time| time.min(LONGEST_MS))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M1: &str = r#"{"timestamp":"2026-11-21T01:56:47.557495Z","level":"INFO","request_id":"r","trace_id":"t","function":"get_rollups","stage":"request","principal":{"kind":"viewer","id":"x"},"status":200,"latency_ms":1.5,"error_code":null,"upstream_status":200,"upstream_latency_ms":0.25,"attribution":"NONE"}"#;

    fn kind(line: &str) -> String {
        match LineKind::of(line.as_bytes()) {
            LineKind::Known(line) => format!("known {} {}", &*line.function, line.status),
            LineKind::Foreign => "foreign".to_owned(),
            LineKind::Broken(why) => format!("broken: {why}"),
        }
    }

    #[test]
    fn an_m1_line_is_known_with_more_fields_or_fewer_in_any_order_and_with_escapes() {
        assert_eq!(kind(M1), "known get_rollups 200");
        let least =
            r#" {"latency_ms":0,"status":503,"stage":"request","function":"get\u005frollups","request_id":""} "#;
        assert_eq!(kind(least), "known get_rollups 503");
        let LineKind::Known(line) = LineKind::of(M1.as_bytes()) else { panic!("{M1}") };
        assert_eq!(line.at().unwrap().to_rfc3339(), "2026-11-21T01:56:47.557495+00:00");
    }

    #[test]
    fn what_says_something_else_is_foreign() {
        for line in [
            "",
            "  ",
            "LOG:  database system is ready",
            "[1, 2]",
            "{}",
            r#"{"timestamp":"2026-11-21T01:56:47Z","level":"INFO","message":"serving","target":"halfhour"}"#,
            "\u{feff}{}",
        ] {
            assert_eq!(kind(line), "foreign", "{line}");
        }
        for (right, wrong) in [
            ("\"status\":200", "\"status\":\"200\""),
            ("\"status\":200", "\"status\":99999"),
            ("\"status\":200", "\"status\":0"),
            ("\"latency_ms\":1.5", "\"latency_ms\":-1"),
            ("\"latency_ms\":1.5", "\"latency_ms\":null"),
            ("\"stage\":\"request\",", ""),
            ("\"stage\":\"request\"", "\"stage\":\"request\",\"stage\":\"again\""),
        ] {
            assert_eq!(kind(&M1.replace(right, wrong)), "foreign", "{wrong}");
        }
    }

    #[test]
    fn a_line_that_is_cut_doubled_or_damaged_is_broken() {
        for end in 1..M1.len() {
            assert_eq!(kind(&M1[..end]), "broken: it is cut off", "{end}");
        }
        for line in [format!("{M1}{M1}"), format!("{M1},"), M1.replace(":200", ":2\0"), M1.replace("1.5", "1E999")] {
            assert_eq!(kind(&line), "broken: it is not one JSON object", "{line}");
        }
        // What is wrong in an early field does not hide that the rest is missing.
        assert_eq!(kind("{\"status\":\"200\",\"stage\":"), "broken: it is cut off");
        let not_text = [&M1.as_bytes()[..M1.len() - 2], &[0xff][..], b"\"}"].concat();
        assert!(matches!(LineKind::of(&not_text), LineKind::Broken(_)));
    }
}
