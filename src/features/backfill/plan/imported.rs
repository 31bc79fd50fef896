//! Reads one bucket of an import, and finds every violation in it.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::super::job::Days;
use crate::kernel::bucket::{BucketKey, HalfHour, TokenCounts};
use crate::kernel::http::field_reader::{Broken, FieldReader, Value};
use crate::kernel::http::values::{REASONING_EXCEEDS_OUTPUT, count, half_hour, model, source, uuid};
use crate::kernel::usage::sources::{KnownSources, Unlisted};

/// A bucket as an operator wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Which.
    pub key: BucketKey,
    /// What it is to say.
    pub counts: TokenCounts,
}

/// The rules that depend on the job and the time.
#[derive(Clone, Debug)]
pub struct ImportRules {
    /// The job's window.
    pub days: Days,
    /// The job's users, sorted; `None` for all.
    pub user_ids: Option<Vec<Uuid>>,
    /// The present: half hours that have not ended are not taken.
    pub now: DateTime<Utc>,
    /// The tools. Retired ones have history, which may be imported.
    pub sources: Arc<KnownSources>,
}

/// The fields of an import's bucket besides its counters.
const KEY_FIELDS: [&str; 5] = ["user_id", "device_id", "hour_start", "source", "model"];

/// What an object may say: its key, its counters, and last `observed_at`. Only a tracker has
/// `observed_at`, which is known so that its refusal can say why.
pub const FIELDS: [&str; KEY_FIELDS.len() + TokenCounts::NAMES.len() + 1] = {
    let mut fields = ["observed_at"; KEY_FIELDS.len() + TokenCounts::NAMES.len() + 1];
    let (key, rest) = fields.split_at_mut(KEY_FIELDS.len());
    key.copy_from_slice(&KEY_FIELDS);
    rest.split_at_mut(TokenCounts::NAMES.len()).0.copy_from_slice(&TokenCounts::NAMES);
    fields
};

/// Reads a bucket from an object's [`FIELDS`], and notes its violations there.
pub fn read(fields: &mut FieldReader, rules: &ImportRules) -> Option<Imported> {
    let stamped = ("unknown_field", "A correction is stamped by its execution.".into());
    fields.optional("observed_at", |_| Err::<(), _>(stamped));
    let user_id = fields.text("user_id", |text| user_id(text, rules));
    let device_id = fields.text("device_id", uuid);
    let hour_start = fields.text("hour_start", |text| hour_start(text, rules));
    let source =
        fields.text("source", |text| rules.sources.known(text).map_err(|Unlisted { code, detail }| (code, detail)));
    let model = fields.text("model", model);
    let counts = counts(fields);
    let key =
        BucketKey { user_id: user_id?, hour_start: hour_start?, device_id: device_id?, source: source?, model: model? };
    Some(Imported { key, counts })
}

/// The key of a bucket whose counts may be anything. It names a line that is broken elsewhere.
pub fn key(fields: &FieldReader) -> Option<BucketKey> {
    let text = |name| fields.get(name)?.text().ok();
    Some(BucketKey {
        user_id: uuid(text("user_id")?).ok()?,
        hour_start: half_hour(text("hour_start")?).ok()?,
        device_id: uuid(text("device_id")?).ok()?,
        source: source(text("source")?).ok()?,
        model: model(text("model")?).ok()?,
    })
}

fn counts(fields: &mut FieldReader) -> TokenCounts {
    let integer = |value: &Value| count(value.number()?);
    let counts = TokenCounts::from_values(TokenCounts::NAMES.map(|name| fields.optional(name, integer).unwrap_or(0)));
    // An output that could not be read is not compared with.
    let output_is_known = fields.get("output_tokens").is_none_or(|output| integer(output).is_ok());
    if output_is_known && counts.reasoning_tokens > counts.output_tokens {
        fields.refuse("reasoning_tokens", REASONING_EXCEEDS_OUTPUT);
    }
    counts
}

fn user_id(text: &str, rules: &ImportRules) -> Result<Uuid, Broken> {
    let user_id = uuid(text)?;
    match &rules.user_ids {
        Some(users) if users.binary_search(&user_id).is_err() => {
            Err(("outside_users", "This user is not among the job's `user_ids`.".into()))
        }
        _ => Ok(user_id),
    }
}

fn hour_start(text: &str, rules: &ImportRules) -> Result<HalfHour, Broken> {
    let half_hour = half_hour(text)?;
    let start = half_hour.start();
    if !rules.days.contain(start) {
        return Err(("outside_window", "This half hour is not in the job's window, `from` to `to` in UTC.".into()));
    }
    if start + TimeDelta::minutes(30) > rules.now {
        return Err(("not_closed", "This half hour has not ended: its trackers still report it.".into()));
    }
    Ok(half_hour)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const USER: &str = "01980000-0000-7000-8000-000000000001";

    fn rules() -> ImportRules {
        let date = |text: &str| text.parse().unwrap();
        ImportRules {
            days: Days { first: date("2026-11-01"), last: date("2026-11-20") },
            user_ids: Some(vec![USER.parse().unwrap()]),
            now: "2026-11-20T12:00:00Z".parse().unwrap(),
            sources: Arc::new(KnownSources::allowing(&["codex"])),
        }
    }

    fn found(bucket: &str) -> Vec<(String, &'static str)> {
        let mut fields = FieldReader::of_body(bucket.as_bytes(), &FIELDS).unwrap();
        let read = read(&mut fields, &rules());
        let violations = fields.check(read).err().unwrap_or_default();
        violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    fn codes(changes: &serde_json::Value) -> Vec<(String, &'static str)> {
        let mut bucket = json!({"user_id": USER, "device_id": USER, "hour_start": "2026-11-20T11:30:00Z",
            "source": "codex", "model": "gpt"});
        for (name, value) in changes.as_object().unwrap() {
            bucket[name] = value.clone();
        }
        found(&bucket.to_string())
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
            ("source", "emacs", "unknown_source"),
            ("model", "gpt\u{a0}", "malformed_model"),
        ] {
            assert_eq!(codes(&json!({name: value})), [(format!("/{name}"), code)], "{value}");
        }
    }

    #[test]
    fn counts_are_plain_integers_and_there_is_no_stamp() {
        for (value, code) in [
            (json!(-1), "out_of_range"),
            (json!(1_000_000_000_001_i64), "out_of_range"),
            (json!(u64::MAX), "out_of_range"),
            (json!(1e300), "out_of_range"),
            (json!(1.5), "not_an_integer"),
            (json!("1"), "wrong_type"),
            (json!(null), "wrong_type"),
        ] {
            assert_eq!(codes(&json!({"input_tokens": value})), [("/input_tokens".to_owned(), code)]);
        }
        assert_eq!(
            codes(&json!({"observed_at": "2026-11-20T11:30:00Z"})),
            [("/observed_at".to_owned(), "unknown_field")]
        );
    }

    #[test]
    fn reasoning_is_a_part_of_output_whatever_other_counts_say() {
        let exceeds = ("/reasoning_tokens".to_owned(), "reasoning_exceeds_output");
        let broken = |name: &str| (format!("/{name}"), "out_of_range");
        assert_eq!(codes(&json!({"reasoning_tokens": 5, "output_tokens": 5})), []);
        assert_eq!(codes(&json!({"reasoning_tokens": 1})), std::slice::from_ref(&exceeds));
        let found = codes(&json!({"input_tokens": -1, "reasoning_tokens": 5, "output_tokens": 1}));
        assert_eq!(found, [broken("input_tokens"), exceeds]);
        assert_eq!(codes(&json!({"reasoning_tokens": 1, "output_tokens": -1})), [broken("output_tokens")]);
    }

    #[test]
    fn a_line_is_named_by_its_key_whatever_else_is_wrong_with_it() {
        let key_of = |line: &serde_json::Value| {
            key(&FieldReader::of_body(line.to_string().as_bytes(), &FIELDS).unwrap()).map(|key| key.user_id.to_string())
        };
        let mut line = json!({"user_id": USER, "device_id": USER, "hour_start": "2026-10-20T11:30:00Z",
            "source": "codex", "model": "gpt", "input_tokens": "many", "colour": "red"});
        assert_eq!(key_of(&line).as_deref(), Some(USER));
        line["model"] = json!("gpt 5\u{200b}");
        assert_eq!(key_of(&line), None);
    }
}
