//! What single values must be like, wherever they are sent: reasons, days, instants, half hours,
//! numbers, counts, zones, ids, tools, models.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde_json::Number;
use uuid::Uuid;

use super::field_reader::Broken;
use super::stand_ins::half_of_a_pair;
use crate::kernel::bucket::{HalfHour, MAX_COUNT, Model, NoModel, Source};

/// A name of a user, a device or a tool's title has so many characters at most.
pub const MAX_NAME: usize = 100;
/// A reason has so many characters at most.
pub const MAX_REASON: usize = 500;
/// A time zone's name has so many characters at most.
pub const MAX_ZONE: usize = 64;
/// What a person pastes for a code is read up to so many bytes: enough for any decoration, and nothing to work on.
pub const MAX_PASTED: usize = 1024;

/// `subject` (the beginning of a sentence, as "A name") has 1 to `most` characters, and is one line of text.
pub fn line(text: &str, subject: &str, most: usize) -> Result<String, Broken> {
    if !(1..=most).contains(&text.chars().count()) {
        Err(("wrong_length", format!("{subject} has 1 to {most} characters.").into()))
    } else if text.chars().any(char::is_control) {
        Err(("control_character", format!("{subject} has no control characters.").into()))
    } else if text.chars().any(|character| half_of_a_pair(character).is_some()) {
        Err(("control_character", format!("{subject} has no halves of surrogate pairs.").into()))
    } else {
        Ok(text.to_owned())
    }
}

/// The same without the blanks around it. They count for the length, so that the contract can tell it.
pub fn trimmed_line(text: &str, subject: &str, most: usize) -> Result<String, Broken> {
    let is_long = text.chars().count() > most;
    line(if is_long { text } else { text.trim() }, subject, most)
}

/// Why something is done, for the audit: 1 to [`MAX_REASON`] characters with the blanks around it, which are cut off.
pub fn reason(text: &str) -> Result<String, Broken> {
    trimmed_line(text, "A reason", MAX_REASON)
}

/// A day of four digits, two and two, from 1970 to 9998: the next day is one as well.
pub fn date(text: &str) -> Result<NaiveDate, Broken> {
    let date = text.parse::<NaiveDate>().ok();
    // The parser is generous with spaces and missing zeros; what is not written back the same is not a date.
    date.filter(|date| (1970..=9998).contains(&date.year()) && date.to_string() == text)
        .ok_or(("not_a_date", "Expected a date, YYYY-MM-DD, from 1970 on.".into()))
}

/// An RFC 3339 instant that is one in UTC, too, so that it can be answered again. Leap seconds are refused: no half hour has
/// room for one.
pub fn instant(text: &str) -> Result<DateTime<Utc>, Broken> {
    let instant = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc());
    // The date crate spells second 60 as second 59 with a billion nanoseconds and more.
    instant
        .filter(|instant| instant.timestamp_subsec_nanos() < 1_000_000_000 && (0..=9999).contains(&instant.year()))
        .ok_or(("not_an_instant", "Expected an RFC 3339 instant like `2026-11-20T10:30:00Z`.".into()))
}

/// What is wrong with a time before [`HalfHour::FIRST`].
pub const BEFORE_2020: Broken = ("before_2020", Cow::Borrowed("Usage before 2020 is not kept."));

/// The start of a half hour, as an RFC 3339 instant.
pub fn half_hour(text: &str) -> Result<HalfHour, Broken> {
    let start = instant(text)?;
    if start < HalfHour::FIRST {
        return Err(BEFORE_2020);
    }
    let unaligned = "Expected the start of a half hour in UTC: `:00` or `:30`, no seconds.";
    HalfHour::new(start).ok_or(("not_a_half_hour", unaligned.into()))
}

/// A number from 1 to `most`, in digits only.
pub fn number(text: &str, most: u16) -> Result<u16, Broken> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=most).contains(number));
    number.ok_or_else(|| ("out_of_range", format!("Expected an integer from 1 to {most}.").into()))
}

/// A count from 0 to [`MAX_COUNT`], without a point or an exponent.
pub fn count(number: &Number) -> Result<i64, Broken> {
    // From 2^63 on it is out of range however it was written: a reader of JSON has no other integers beyond 64 bits.
    if number.is_f64() && number.as_f64().is_some_and(|float| float.abs() < 9_223_372_036_854_775_808.0) {
        return Err(("not_an_integer", "Expected an integer, without a point or an exponent.".into()));
    }
    let out_of_range = || ("out_of_range", format!("Expected an integer from 0 to {MAX_COUNT}.").into());
    number.as_i64().filter(|count| (0..=MAX_COUNT).contains(count)).ok_or_else(out_of_range)
}

/// What is wrong with more reasoning than output.
pub const REASONING_EXCEEDS_OUTPUT: Broken =
    ("reasoning_exceeds_output", Cow::Borrowed("Reasoning is a part of output_tokens and cannot be more."));

/// What is wrong with a time zone that PostgreSQL does not know.
pub const UNKNOWN_TIME_ZONE: Broken =
    ("unknown_time_zone", Cow::Borrowed("This names no place's time zone; use an IANA name such as Europe/Berlin."));

/// What can be a time zone's name at all; PostgreSQL knows which ones there are.
pub fn time_zone(text: &str) -> Result<String, Broken> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    let may_be_one = (1..=MAX_ZONE).contains(&text.len()) && text.bytes().all(allowed);
    if may_be_one { Ok(text.to_owned()) } else { Err(UNKNOWN_TIME_ZONE) }
}

/// An id.
pub fn uuid(text: &str) -> Result<Uuid, Broken> {
    Uuid::try_parse(text).map_err(|_| ("not_a_uuid", "Expected a UUID.".into()))
}

/// A tool's name, whether or not the tool may report usage.
pub fn source(text: &str) -> Result<Source, Broken> {
    Source::parse(text).ok_or(("malformed_source", Source::FORM.into()))
}

/// A model's name. What is wrong with it is told by the code point, because the character itself cannot be seen.
pub fn model(text: &str) -> Result<Model, Broken> {
    let detail = |wrong| match wrong {
        NoModel::WrongLength => {
            format!("Expected 1 to {} characters, in at most {} bytes.", Model::MAX_CHARACTERS, Model::MAX_BYTES)
        }
        NoModel::Misplaced { before, character, kind } => {
            let half = half_of_a_pair(character).map(|half| (half, "half of a surrogate pair"));
            let ((code_point, kind), place) = (half.unwrap_or((u32::from(character), kind)), before + 1);
            format!(
                "U+{code_point:04X}, the name's character {place} counted from 1, is {kind}: send the name without it."
            )
        }
    };
    Model::parse(text).map_err(|wrong| ("malformed_model", detail(wrong).into()))
}

/// `true` or `false`.
pub fn truth(text: &str) -> Result<bool, Broken> {
    text.parse().map_err(|_| ("not_a_boolean", "Expected `true` or `false`.".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_1_to_500_characters_on_one_line() {
        let code = |text: &str| reason(text).map_err(|(code, _)| code);
        assert_eq!(code(" disk is full\n"), Ok("disk is full".to_owned()));
        assert_eq!(code(&"é".repeat(500)), Ok("é".repeat(500)));
        assert_eq!(code(&format!("x{}", " ".repeat(499))), Ok("x".to_owned()));
        for bad in ["", " \t ", &"é".repeat(501), &format!("x{}", " ".repeat(500))] {
            assert_eq!(code(bad), Err("wrong_length"), "{bad}");
        }
        for bad in ["\0", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(code(bad), Err("control_character"), "{bad:?}");
        }
    }

    #[test]
    fn dates_are_exactly_ten_characters_of_a_real_day() {
        for bad in ["", "2026-1-05", "2026-01-5 ", "+2026-1-01", "2026-02-30", "1969-12-31", "9999-01-01", "２０２６"]
        {
            assert_eq!(date(bad).unwrap_err().0, "not_a_date", "{bad}");
        }
        assert_eq!(date("9998-12-31").unwrap().to_string(), "9998-12-31");
    }

    #[test]
    fn an_instant_keeps_its_moment_whatever_its_offset_and_precision() {
        let at = |text| instant(text).unwrap().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        assert_eq!(at("2026-11-20T12:30:00+02:00"), "2026-11-20T10:30:00Z");
        assert_eq!(at("2026-11-20T10:30:00.123456789Z"), "2026-11-20T10:30:00.123456789Z");
    }

    #[test]
    fn what_is_not_an_instant_is_said_to_be_none() {
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T10:30:00",
            "2026-02-30T10:30:00Z",
            "2026-11-20T24:00:00Z",
            "2016-12-31T23:59:60Z",
            "2026-11-20T10:29:60.5Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "1763634600",
        ] {
            assert_eq!(instant(bad).unwrap_err().0, "not_an_instant", "{bad}");
            assert_eq!(half_hour(bad).unwrap_err().0, "not_an_instant", "{bad}");
        }
    }

    #[test]
    fn a_half_hour_is_an_aligned_instant_from_2020_on() {
        for good in ["2020-01-01T00:00:00Z", "2026-11-20T16:00:00+05:30", "2026-11-20T10:30:00.000Z"] {
            assert!(half_hour(good).is_ok(), "{good}");
        }
        for bad in ["2026-11-20T10:31:00Z", "2026-11-20T10:30:00.000000001Z", "2026-11-20T10:30:00+05:45"] {
            assert_eq!(half_hour(bad).unwrap_err().0, "not_a_half_hour", "{bad}");
        }
        for old in ["2019-12-31T23:30:00Z", "2020-01-01T00:00:00+00:01", "0000-01-01T00:00:00Z"] {
            assert_eq!(half_hour(old), Err(BEFORE_2020), "{old}");
        }
    }

    #[test]
    fn a_count_is_a_plain_integer_from_0_to_a_trillion() {
        let read = |json: &str| count(&serde_json::from_str(json).unwrap()).map_err(|(code, _)| code);
        assert_eq!((read("0"), read("1000000000000")), (Ok(0), Ok(MAX_COUNT)));
        for (json, code) in [
            ("1000000000001", "out_of_range"),
            ("9223372036854775808", "out_of_range"),
            ("18446744073709551616", "out_of_range"),
            ("1e300", "out_of_range"),
            ("-1", "out_of_range"),
            ("-9223372036854775809", "out_of_range"),
            ("1.0", "not_an_integer"),
            ("1e3", "not_an_integer"),
            ("-0.5", "not_an_integer"),
            ("-0", "not_an_integer"),
        ] {
            assert_eq!(read(json), Err(code), "{json}");
        }
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        for bad in ["", "0", "1001", "-1", "+1", "1.0", "1e2", "one", "99999"] {
            assert_eq!(number(bad, 1000).unwrap_err().0, "out_of_range", "{bad}");
        }
        assert_eq!((number("1", 1000), number("1000", 1000)), (Ok(1), Ok(1000)));
    }

    #[test]
    fn what_is_wrong_with_a_model_is_told_by_code_point_and_place_and_never_repeated() {
        let detail = |text: &str| model(text).unwrap_err().1.into_owned();
        for (text, told) in [
            ("gp\u{200b}t", "U+200B, the name's character 3 counted from 1, is an invisible format character"),
            ("問 ", "U+0020, the name's character 2 counted from 1, is a blank at an end of the name"),
            ("\u{1b}[31m", "U+001B, the name's character 1 counted from 1, is a control character"),
            ("a\u{10ffff}", "U+10FFFF, the name's character 2 counted from 1, is not assigned by Unicode"),
            ("a\u{e17ff}b", "U+DFFF, the name's character 2 counted from 1, is half of a surrogate pair"),
            ("a\u{2028}b", "U+2028, the name's character 2 counted from 1, is an end of a line"),
        ] {
            assert_eq!(detail(text), format!("{told}: send the name without it."));
        }
        for text in ["", &"secret".repeat(100)] {
            assert_eq!(detail(text), "Expected 1 to 256 characters, in at most 512 bytes.");
        }
    }

    #[test]
    fn nothing_that_is_no_name_of_a_zone_reaches_the_database() {
        for bad in ["", "Europe/Ber\0lin", "Europe Berlin", "'; select", &"a".repeat(65)] {
            assert_eq!(time_zone(bad), Err(UNKNOWN_TIME_ZONE), "{bad}");
        }
        for good in ["Etc/GMT+3", &"a".repeat(64)] {
            assert_eq!(time_zone(good), Ok(good.to_owned()));
        }
    }

    #[test]
    fn a_source_has_1_to_64_plain_characters_and_begins_with_a_letter_or_digit() {
        for good in ["a", "9router", "pi-open.ai_2", &"s".repeat(64)] {
            assert_eq!(source(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".a", "_a", "Codex", "codex ", " codex", "a b", "a\n", "\0", "é", "a/b", &"s".repeat(65)]
        {
            assert_eq!(source(bad).unwrap_err().0, "malformed_source", "{bad:?}");
        }
    }
}
