//! One JSON value as a bucket's field sees it, and the readings that fields ask of it. Arrays and objects are skipped
//! without recursion: no field takes one.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::kernel::bucket::MAX_COUNT;

/// The rule that a value broke: its code, and what was expected.
pub(super) type Broken = (&'static str, Cow<'static, str>);

/// A JSON value, as far as a field cares.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'de> {
    Null,
    Boolean,
    /// An integer from 0 to 2^64 − 1.
    Unsigned(u64),
    /// An integer below 0.
    Negative,
    /// A number with a point or an exponent, `-0`, or an integer beyond 64 bits.
    Float(f64),
    Text(Cow<'de, str>),
    Array,
    Object,
}

impl Scalar<'_> {
    /// A count from 0 to [`MAX_COUNT`].
    pub(super) fn count(&self) -> Result<i64, Broken> {
        let out_of_range = || ("out_of_range", format!("Expected an integer from 0 to {MAX_COUNT}.").into());
        match self {
            Self::Unsigned(number) => {
                i64::try_from(*number).ok().filter(|count| *count <= MAX_COUNT).ok_or_else(out_of_range)
            }
            Self::Negative => Err(out_of_range()),
            // From 2^63 on it is out of range, however it was written.
            Self::Float(number) if number.abs() >= 9_223_372_036_854_775_808.0 => Err(out_of_range()),
            Self::Float(_) => Err(("not_an_integer", "Expected an integer, without a point or an exponent.".into())),
            other => Err(other.unlike("an integer")),
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&str, Broken> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(other.unlike("a string")),
        }
    }

    /// An RFC 3339 instant, in UTC. Leap seconds are refused: no half hour has room for one.
    pub(super) fn instant(&self) -> Result<DateTime<Utc>, Broken> {
        let text = self.text().map_err(|_| self.unlike("a string with an RFC 3339 instant"))?;
        let instant = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.to_utc());
        // The date crate spells second 60 as second 59 with a billion nanoseconds and more.
        instant
            .filter(|instant| instant.timestamp_subsec_nanos() < 1_000_000_000)
            .ok_or(("not_an_instant", "Expected an RFC 3339 instant like `2026-11-20T10:30:00Z`.".into()))
    }

    /// What was expected, and which kind of value came instead. The value itself is not repeated.
    pub(super) fn unlike(&self, expected: &str) -> Broken {
        let found = match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Unsigned(_) | Self::Negative | Self::Float(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        };
        ("wrong_type", format!("Expected {expected}, found {found}.").into())
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Takes any value.
pub(super) struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Boolean)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Unsigned(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(number).map_or(Scalar::Negative, Scalar::Unsigned))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Scalar<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn code<T: fmt::Debug>(reading: Result<T, Broken>) -> &'static str {
        reading.unwrap_err().0
    }

    #[test]
    fn a_count_is_a_plain_integer_from_0_to_a_trillion() {
        assert_eq!(read("0").count(), Ok(0));
        assert_eq!(read("1000000000000").count(), Ok(MAX_COUNT));
        for (json, expected) in [
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
            ("\"1\"", "wrong_type"),
            ("null", "wrong_type"),
            ("true", "wrong_type"),
            ("[1]", "wrong_type"),
            ("{\"a\":1}", "wrong_type"),
        ] {
            assert_eq!(code(read(json).count()), expected, "{json}");
        }
    }

    #[test]
    fn an_instant_keeps_its_moment_whatever_its_offset_and_precision() {
        let at = |json| read(json).instant().unwrap().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
        assert_eq!(at(r#""2026-11-20T12:30:00+02:00""#), "2026-11-20T10:30:00Z");
        assert_eq!(at(r#""2026-11-20T10:30:00.123456789Z""#), "2026-11-20T10:30:00.123456789Z");
        assert_eq!(at(r#""2026-11-20T10:30:00.\u0031Z""#), "2026-11-20T10:30:00.100Z", "an escape in the text");
    }

    #[test]
    fn what_is_not_an_instant_is_said_to_be_none() {
        for json in [
            r#""""#,
            r#""2026-11-20""#,
            r#""2026-11-20T10:30:00""#,
            r#""2026-02-30T10:30:00Z""#,
            r#""2026-11-20T24:00:00Z""#,
            r#""2016-12-31T23:59:60Z""#,
            r#""2026-11-20T10:29:60.5Z""#,
            r#""1763634600""#,
        ] {
            assert_eq!(code(read(json).instant()), "not_an_instant", "{json}");
        }
        assert_eq!(code(read("1763634600").instant()), "wrong_type");
        assert_eq!(code(read("null").instant()), "wrong_type");
    }

    #[test]
    fn what_is_skipped_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
        assert_eq!(read(&deep), Scalar::Array);
    }
}
