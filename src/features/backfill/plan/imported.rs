//! One bucket of an import: what its object says, and everything that is wrong with it.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use super::super::job::Days;
use crate::kernel::bucket::{HalfHour, MAX_COUNT, Model, SOURCES, Source, TokenCounts};
use crate::kernel::writer::corrections::BucketKey;

/// A bucket as an operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Which.
    pub key: BucketKey,
    /// What it is to say.
    pub counts: TokenCounts,
}

/// A rule that a field broke. No name stands for the whole object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The field.
    pub field: Option<String>,
    /// A stable word for the rule.
    pub code: &'static str,
    /// What was expected.
    pub detail: Cow<'static, str>,
}

/// The rules that depend on the job and the time.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The job's window.
    pub days: Days,
    /// The job's users, sorted; `None` for all.
    pub user_ids: Option<Vec<Uuid>>,
    /// The present: half hours that have not ended are not taken.
    pub now: DateTime<Utc>,
}

/// An object's fields in order, repeated ones too.
#[derive(Debug)]
pub struct Fields(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::with_capacity(12);
        while let Some(field) = object.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

const KEY_FIELDS: [&str; 5] = ["user_id", "device_id", "hour_start", "source", "model"];
const COUNT_FIELDS: [&str; 8] = [
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "request_count",
];

type Rule<T> = Result<T, (&'static str, Cow<'static, str>)>;

/// Reads a bucket. Errors: everything that is wrong with it.
pub fn read(Fields(fields): &Fields, rules: &Rules) -> Result<Imported, Vec<Broken>> {
    let mut reader = Reader { fields, broken: Vec::new() };
    reader.check_names();
    let user_id = reader.required("user_id", |value| user_id(value, rules));
    let device_id = reader.required("device_id", uuid);
    let hour_start = reader.required("hour_start", |value| hour_start(value, rules));
    let source = reader.required("source", source);
    let model = reader.required("model", model);
    let counts = reader.counts();
    match (user_id, device_id, hour_start, source, model) {
        (Some(user_id), Some(device_id), Some(hour_start), Some(source), Some(model)) if reader.broken.is_empty() => {
            Ok(Imported { key: BucketKey { user_id, hour_start, device_id, source, model }, counts })
        }
        _ => Err(reader.broken),
    }
}

/// The key of a bucket whose counts may be anything: to name a line that is broken elsewhere.
pub fn key(Fields(fields): &Fields) -> Option<BucketKey> {
    let get = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    Some(BucketKey {
        user_id: uuid(get("user_id")?).ok()?,
        hour_start: HalfHour::new(instant(get("hour_start")?).ok()?)?,
        device_id: uuid(get("device_id")?).ok()?,
        source: source(get("source")?).ok()?,
        model: model(get("model")?).ok()?,
    })
}

struct Reader<'a> {
    fields: &'a [(String, Value)],
    broken: Vec<Broken>,
}

impl Reader<'_> {
    fn note(&mut self, field: &str, code: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.broken.push(Broken { field: Some(field.to_owned()), code, detail: detail.into() });
    }

    fn check_names(&mut self) {
        for (at, (name, _)) in self.fields.iter().enumerate() {
            if name == "observed_at" {
                self.note(name, "unknown_field", "A correction is stamped by its execution.");
            } else if !KEY_FIELDS.contains(&name.as_str()) && !COUNT_FIELDS.contains(&name.as_str()) {
                self.note(name, "unknown_field", "There is no field of this name.");
            } else if self.fields[..at].iter().any(|(before, _)| before == name) {
                self.note(name, "duplicate_field", "This field comes twice.");
            }
        }
    }

    fn optional<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Rule<T>) -> Option<T> {
        let (_, value) = self.fields.iter().find(|(found, _)| found == name)?;
        read(value).map_err(|(code, detail)| self.note(name, code, detail)).ok()
    }

    fn required<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Rule<T>) -> Option<T> {
        if !self.fields.iter().any(|(found, _)| found == name) {
            self.note(name, "missing", "This field is required.");
        }
        self.optional(name, read)
    }

    fn counts(&mut self) -> TokenCounts {
        let before = self.broken.len();
        let mut count = |name| self.optional(name, count).unwrap_or(0);
        let counts = TokenCounts {
            input_tokens: count("input_tokens"),
            cache_read_tokens: count("cache_read_tokens"),
            cache_write_5m_tokens: count("cache_write_5m_tokens"),
            cache_write_1h_tokens: count("cache_write_1h_tokens"),
            output_tokens: count("output_tokens"),
            reasoning_tokens: count("reasoning_tokens"),
            unclassified_tokens: count("unclassified_tokens"),
            request_count: count("request_count"),
        };
        if self.broken.len() == before && counts.reasoning_tokens > counts.output_tokens {
            let detail = "Reasoning is a part of output_tokens and cannot be more.";
            self.note("reasoning_tokens", "reasoning_exceeds_output", detail);
        }
        counts
    }
}

fn text(value: &Value) -> Rule<&str> {
    value.as_str().ok_or(("wrong_type", "Expected a string.".into()))
}

fn uuid(value: &Value) -> Rule<Uuid> {
    Uuid::try_parse(text(value)?).map_err(|_| ("not_a_uuid", "Expected a UUID.".into()))
}

fn user_id(value: &Value, rules: &Rules) -> Rule<Uuid> {
    let user_id = uuid(value)?;
    match &rules.user_ids {
        Some(users) if users.binary_search(&user_id).is_err() => {
            Err(("outside_users", "This user is not among the job's `user_ids`.".into()))
        }
        _ => Ok(user_id),
    }
}

fn instant(value: &Value) -> Rule<DateTime<Utc>> {
    let instant = DateTime::parse_from_rfc3339(text(value)?).ok().map(|instant| instant.to_utc());
    // The date crate spells second 60 as second 59 with a billion nanoseconds and more.
    instant
        .filter(|instant| instant.timestamp_subsec_nanos() < 1_000_000_000)
        .ok_or(("not_an_instant", "Expected an RFC 3339 instant like `2026-11-20T10:30:00Z`.".into()))
}

fn hour_start(value: &Value, rules: &Rules) -> Rule<HalfHour> {
    let start = instant(value)?;
    if start < HalfHour::FIRST {
        return Err(("before_2020", "Usage before 2020 is not kept.".into()));
    }
    let half_hour = HalfHour::new(start)
        .ok_or(("not_a_half_hour", "Expected the start of a half hour in UTC: `:00` or `:30`, no seconds.".into()))?;
    if !rules.days.contain(start) {
        return Err(("outside_window", "This half hour is not in the job's window, `from` to `to` in UTC.".into()));
    }
    if start + TimeDelta::minutes(30) > rules.now {
        return Err(("not_closed", "This half hour has not ended: its trackers still report it.".into()));
    }
    Ok(half_hour)
}

fn source(value: &Value) -> Rule<Source> {
    let unknown = || ("unknown_source", format!("Expected one of {}.", SOURCES.join(", ")).into());
    Source::parse(text(value)?).ok_or_else(unknown)
}

fn model(value: &Value) -> Rule<Model> {
    let malformed = ("malformed_model", "Expected 1 to 128 characters of A-Z a-z 0-9 . _ : / @ + -".into());
    Model::parse(text(value)?).ok_or(malformed)
}

fn count(value: &Value) -> Rule<i64> {
    let Value::Number(number) = value else {
        return Err(("wrong_type", "Expected an integer.".into()));
    };
    if number.is_f64() {
        return Err(("not_an_integer", "Expected an integer, without a point or an exponent.".into()));
    }
    let out_of_range = || ("out_of_range", format!("Expected an integer from 0 to {MAX_COUNT}.").into());
    number.as_i64().filter(|count| (0..=MAX_COUNT).contains(count)).ok_or_else(out_of_range)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "01980000-0000-7000-8000-000000000001";

    fn rules() -> Rules {
        let date = |text: &str| text.parse().unwrap();
        Rules {
            days: Days { first: date("2026-11-01"), last: date("2026-11-20") },
            user_ids: Some(vec![USER.parse().unwrap()]),
            now: "2026-11-20T12:00:00Z".parse().unwrap(),
        }
    }

    fn codes(changes: &Value) -> Vec<(String, &'static str)> {
        let mut bucket = json!({"user_id": USER, "device_id": USER, "hour_start": "2026-11-20T11:30:00Z",
            "source": "codex", "model": "gpt"});
        for (name, value) in changes.as_object().unwrap() {
            bucket[name] = value.clone();
        }
        let fields: Fields = serde_json::from_str(&bucket.to_string()).unwrap();
        let broken = read(&fields, &rules()).err().unwrap_or_default();
        broken.into_iter().map(|broken| (broken.field.unwrap_or_default(), broken.code)).collect()
    }

    #[test]
    fn a_bucket_names_a_closed_half_hour_of_the_window_and_a_user_of_the_job() {
        assert_eq!(codes(&json!({})), []);
        assert_eq!(codes(&json!({"hour_start": "2026-11-01T00:00:00Z"})), []);
        for (name, value, code) in [
            ("hour_start", "2026-11-20T12:00:00Z", "not_closed"),
            ("hour_start", "2026-10-31T23:30:00Z", "outside_window"),
            ("hour_start", "2026-11-21T00:00:00Z", "outside_window"),
            ("hour_start", "2026-11-20T11:15:00Z", "not_a_half_hour"),
            ("hour_start", "2019-11-20T11:30:00Z", "before_2020"),
            ("hour_start", "yesterday", "not_an_instant"),
            ("user_id", "01980000-0000-7000-8000-000000000002", "outside_users"),
            ("device_id", "laptop", "not_a_uuid"),
            ("source", "Codex", "unknown_source"),
            ("model", "gpt 5", "malformed_model"),
        ] {
            assert_eq!(codes(&json!({name: value})), [(name.to_owned(), code)], "{value}");
        }
    }

    #[test]
    fn counts_are_plain_integers_and_there_is_no_stamp() {
        for (value, code) in [
            (json!(-1), "out_of_range"),
            (json!(1_000_000_000_001_i64), "out_of_range"),
            (json!(u64::MAX), "out_of_range"),
            (json!(1.5), "not_an_integer"),
            (json!("1"), "wrong_type"),
            (json!(null), "wrong_type"),
        ] {
            assert_eq!(codes(&json!({"input_tokens": value})), [("input_tokens".to_owned(), code)]);
        }
        assert_eq!(
            codes(&json!({"reasoning_tokens": 1})),
            [("reasoning_tokens".to_owned(), "reasoning_exceeds_output")]
        );
        assert_eq!(
            codes(&json!({"observed_at": "2026-11-20T11:30:00Z"})),
            [("observed_at".to_owned(), "unknown_field")]
        );
    }

    #[test]
    fn a_field_that_comes_twice_is_refused() {
        let fields: Fields = serde_json::from_str(r#"{"model":"a","model":"b"}"#).unwrap();
        let broken = read(&fields, &rules()).unwrap_err();
        assert!(broken.iter().any(|broken| broken.code == "duplicate_field"), "{broken:?}");
        assert_eq!(key(&fields), None);
    }
}
