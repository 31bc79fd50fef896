//! When a bucket is acceptable: every rule of the contract, each with its code. Which times and tools are, the intake says.

use super::body::{Element, Field, Fields};
use super::scalar::Scalar;
use super::violations::Violations;
use crate::kernel::bucket::{PerCounter, TokenCounts};
use crate::kernel::http::field_reader::Broken;
use crate::kernel::http::values::{REASONING_EXCEEDS_OUTPUT, half_hour, instant, model};
use crate::kernel::usage::intake::{Draft, Snapshot, Untimely};
use crate::kernel::usage::snapshot::Firmness;
use crate::kernel::usage::sources::Unlisted;

/// The snapshot that an element of `buckets` is, or all that is wrong with it.
pub(super) fn snapshot(element: Element<'_>, draft: &Draft) -> Result<Snapshot, Violations> {
    let Element { fields, mut violations } = element;
    let Some(fields) = fields else {
        return Err(violations);
    };
    let hour_start = required_text(&fields, Field::HourStart, &mut violations, |text| {
        draft.hour_start(half_hour(text)?).map_err(broken)
    });
    let source = required_text(&fields, Field::Source, &mut violations, |text| {
        draft.source(text).map_err(|Unlisted { code, detail }| (code, detail))
    });
    let model = required_text(&fields, Field::Model, &mut violations, model);
    let observed_at = optional(&fields, Field::ObservedAt, &mut violations, |value| {
        draft.observed_at(instant(value.text()?)?).map_err(broken)
    });
    let retracts = optional(&fields, Field::Retracts, &mut violations, Scalar::boolean).unwrap_or(false);
    let counts = counts(&fields, &mut violations);
    match (hour_start, source, model) {
        (Some(hour_start), Some(source), Some(model)) if violations.is_empty() => {
            let firmness = if retracts { Firmness::Retracts } else { Firmness::Ordinary };
            Ok(Snapshot { hour_start, source, model, counts, observed_at, firmness })
        }
        _ => Err(violations),
    }
}

fn broken(Untimely { code, detail, .. }: Untimely) -> Broken {
    (code, detail)
}

/// `None` where the field is absent or not acceptable; the second is noted.
fn optional<'de, T>(
    fields: &Fields<'de>,
    field: Field,
    violations: &mut Violations,
    read: impl FnOnce(&Scalar<'de>) -> Result<T, Broken>,
) -> Option<T> {
    read(fields.get(field)?).map_err(|broken| violations.add(field.name(), broken)).ok()
}

/// `None` where the field is absent or not acceptable; both are noted.
fn required_text<T>(
    fields: &Fields<'_>,
    field: Field,
    violations: &mut Violations,
    read: impl FnOnce(&str) -> Result<T, Broken>,
) -> Option<T> {
    if fields.get(field).is_none() {
        violations.add(field.name(), ("missing", "This field is required.".into()));
    }
    optional(fields, field, violations, |value| read(value.text()?))
}

fn counts(fields: &Fields<'_>, violations: &mut Violations) -> TokenCounts {
    let counts =
        PerCounter::PLACES.map(|place| optional(fields, Field::Counter(place), violations, Scalar::count).unwrap_or(0));
    // An output that could not be read is not compared with.
    let [output, reasoning] =
        [PerCounter::PLACES.output_tokens, PerCounter::PLACES.reasoning_tokens].map(Field::Counter);
    let output_is_known = fields.get(output).is_none_or(|output| output.count().is_ok());
    if output_is_known && counts.reasoning_tokens > counts.output_tokens {
        violations.add(reasoning.name(), REASONING_EXCEEDS_OUTPUT);
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{DateTime, Utc};
    use serde_json::{Value, json};

    use super::super::body;
    use super::*;
    use crate::kernel::clock::Clock;
    use crate::kernel::usage::snapshot::{Bucket, Rank, Stamp};
    use crate::kernel::usage::sources::KnownSources;

    const NOW: &str = "2026-11-20T12:00:00Z";

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// What becomes of a sound bucket with some fields replaced, or removed by null.
    fn read(changes: &Value) -> Result<Bucket, Vec<(String, &'static str)>> {
        read_at(NOW, Some(400), changes)
    }

    fn read_at(now: &str, max_age_days: Option<u32>, changes: &Value) -> Result<Bucket, Vec<(String, &'static str)>> {
        let mut fields = json!({"hour_start": "2026-11-20T10:30:00Z", "source": "codex", "model": "gpt-5.2-codex"});
        for (name, value) in changes.as_object().unwrap() {
            fields[name] = value.clone();
        }
        fields.as_object_mut().unwrap().retain(|_, value| *value != "REMOVED");
        let mut draft =
            Draft::new(&Clock::fixed(instant(now)), max_age_days, Arc::new(KnownSources::allowing(&["codex"])));
        let text = json!({"buckets": [fields]}).to_string();
        let mut result = None;
        let mut take = |element: Element<'_>| result = Some(snapshot(element, &draft));
        body::read(&text, &mut take).unwrap();
        let added = result.unwrap().map(|snapshot| {
            draft.add(snapshot);
            draft.buckets()[0].clone()
        });
        added.map_err(|violations| {
            let list = violations.into_list().into_iter();
            list.map(|violation| (violation.pointer.replace("/buckets/0", ""), violation.code)).collect()
        })
    }

    fn assert_refused(changes: &Value, pointer: &str, code: &'static str) {
        assert_eq!(read(changes), Err(vec![(pointer.to_owned(), code)]), "{changes}");
    }

    #[test]
    fn absent_counts_are_zero_and_an_absent_stamp_is_the_arrival() {
        let bucket = read(&json!({})).unwrap();
        assert_eq!(bucket.counts, TokenCounts::default());
        assert_eq!(bucket.stamp, Stamp { observed_at: instant(NOW), stamped: false, rank: Rank::OnTime });
        assert_eq!((bucket.source.as_str(), bucket.model.as_str()), ("codex", "gpt-5.2-codex"));
    }

    #[test]
    fn a_stamp_is_converted_to_utc_and_cut_to_microseconds() {
        let bucket = read(&json!({"observed_at": "2026-11-20T13:04:59.123456999+01:00"})).unwrap();
        let observed_at = instant("2026-11-20T12:04:59.123456Z");
        assert_eq!(bucket.stamp, Stamp { observed_at, stamped: true, rank: Rank::OnTime });
        let old = read(&json!({"observed_at": "0000-01-01T00:00:00.0000009-23:59"})).unwrap();
        assert_eq!(old.stamp.observed_at.timestamp_subsec_nanos(), 0, "also before 1970");
    }

    #[test]
    fn required_fields_are_asked_for_and_null_is_no_way_around_any_field() {
        for field in ["hour_start", "source", "model"] {
            assert_refused(&json!({field: "REMOVED"}), &format!("/{field}"), "missing");
        }
        for field in Field::ALL.map(Field::name) {
            assert_refused(&json!({field: null}), &format!("/{field}"), "wrong_type");
            assert_refused(&json!({field: [1]}), &format!("/{field}"), "wrong_type");
            if field != "retracts" {
                assert_refused(&json!({field: true}), &format!("/{field}"), "wrong_type");
            }
        }
    }

    #[test]
    fn a_late_snapshot_is_silent_unless_it_says_that_it_retracts() {
        let late = |retracts: Value| read(&json!({"hour_start": "2026-10-01T00:00:00Z", "retracts": retracts}));
        for (retracts, rank) in [
            (json!("REMOVED"), Rank::LateAndSilent),
            (json!(false), Rank::LateAndSilent),
            (json!(true), Rank::LateAndRetracting),
        ] {
            assert_eq!(late(retracts).unwrap().stamp.rank, rank);
        }
        for bad in [json!("true"), json!(1), json!(0), json!(null), json!({}), json!([true])] {
            assert_eq!(late(bad), Err(vec![("/retracts".to_owned(), "wrong_type")]));
        }
    }

    #[test]
    fn hour_start_is_an_aligned_half_hour_of_the_time_that_is_taken() {
        for good in ["2025-10-16T12:00:00Z", "2026-11-20T12:00:00Z"] {
            assert!(read(&json!({"hour_start": good})).is_ok(), "{good}");
        }
        for (bad, code) in [
            ("2026-11-20T10:31:00Z", "not_a_half_hour"),
            ("2026-11-20 half past ten", "not_an_instant"),
            ("2019-12-31T23:30:00Z", "before_2020"),
            ("2025-10-16T11:30:00Z", "too_old"),
            ("2026-11-20T12:30:00Z", "in_future"),
            ("9999-12-31T23:30:00Z", "in_future"),
        ] {
            assert_refused(&json!({"hour_start": bad}), "/hour_start", code);
        }
    }

    #[test]
    fn the_limit_of_age_may_be_absent_or_beyond_all_time() {
        let old = json!({"hour_start": "2020-01-01T00:00:00Z"});
        for max_age_days in [None, Some(u32::MAX), Some(2516)] {
            assert!(read_at(NOW, max_age_days, &old).is_ok(), "{max_age_days:?}");
        }
        for max_age_days in [0, 1, 2515] {
            assert!(read_at(NOW, Some(max_age_days), &old).is_err(), "{max_age_days}");
        }
    }

    #[test]
    fn a_clock_may_be_five_minutes_ahead_and_no_more() {
        let next = json!({"hour_start": "2026-11-20T12:30:00Z"});
        assert!(read_at("2026-11-20T12:24:59.999999Z", None, &next).is_err());
        assert!(read_at("2026-11-20T12:25:00Z", None, &next).is_ok());
        assert!(read(&json!({"observed_at": "2026-11-20T12:05:00Z"})).is_ok());
        assert_refused(&json!({"observed_at": "2026-11-20T12:05:00.000001Z"}), "/observed_at", "observed_at_in_future");
    }

    #[test]
    fn sources_are_checked_by_the_intake_and_models_by_the_vocabulary() {
        for bad in ["", "Codex", "codex ", "windsurf"] {
            assert_refused(&json!({"source": bad}), "/source", "unknown_source");
        }
        for bad in ["", " gpt 5", "gpt\u{200b}", "a\u{0}b", &"m".repeat(257)] {
            assert_refused(&json!({"model": bad}), "/model", "malformed_model");
        }
    }

    #[test]
    fn reasoning_is_a_part_of_output() {
        assert!(read(&json!({"reasoning_tokens": 5, "output_tokens": 5})).is_ok());
        assert_refused(&json!({"reasoning_tokens": 1}), "/reasoning_tokens", "reasoning_exceeds_output");
        assert_refused(&json!({"reasoning_tokens": 1, "output_tokens": -1}), "/output_tokens", "out_of_range");
        assert_refused(&json!({"reasoning_tokens": 1.5}), "/reasoning_tokens", "not_an_integer");
    }

    #[test]
    fn everything_wrong_with_a_bucket_is_found_at_once() {
        let found =
            read(&json!({"hour_start": 7, "source": "x", "model": "REMOVED", "input_tokens": -1, "user_id": 1}));
        let mut codes: Vec<_> = found.unwrap_err().into_iter().map(|(_, code)| code).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["missing", "out_of_range", "unknown_field", "unknown_source", "wrong_type"]);
    }
}
