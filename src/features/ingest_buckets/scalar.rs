//! One JSON value, as the fields of a bucket read it. Arrays and objects are skipped without
//! recursion, because no field takes one.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::kernel::http::field_reader::Broken;
use crate::kernel::http::values::count;

/// A JSON value, as far as a field cares.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar<'de> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(Cow<'de, str>),
    Array,
    Object,
}

impl Scalar<'_> {
    /// A count.
    pub(super) fn count(&self) -> Result<i64, Broken> {
        match self {
            Self::Number(number) => count(number),
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

    /// A boolean.
    pub(super) fn boolean(&self) -> Result<bool, Broken> {
        match self {
            Self::Boolean(value) => Ok(*value),
            other => Err(other.unlike("a boolean")),
        }
    }

    /// What was expected, and which kind of value came instead. The value itself is not repeated.
    pub(super) fn unlike(&self, expected: &str) -> Broken {
        let found = match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Number(_) => "a number",
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

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        // JSON has no number that is not finite.
        Ok(Number::from_f64(number).map_or(Scalar::Null, Scalar::Number))
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

    #[test]
    fn a_count_is_a_number_as_it_was_written() {
        for (json, expected) in [
            ("7", Ok(7)),
            ("-1", Err("out_of_range")),
            ("18446744073709551616", Err("out_of_range")),
            ("1.0", Err("not_an_integer")),
            ("\"1\"", Err("wrong_type")),
            ("null", Err("wrong_type")),
            ("true", Err("wrong_type")),
            ("[1]", Err("wrong_type")),
            ("{\"a\":1}", Err("wrong_type")),
        ] {
            assert_eq!(read(json).count().map_err(|(code, _)| code), expected, "{json}");
        }
    }

    #[test]
    fn a_boolean_is_no_number_and_no_text() {
        assert_eq!((read("true").boolean(), read("false").boolean()), (Ok(true), Ok(false)));
        for json in ["0", "1", "\"true\"", "null", "[true]", "{}"] {
            assert_eq!(read(json).boolean().map_err(|(code, _)| code), Err("wrong_type"), "{json}");
        }
    }

    #[test]
    fn a_text_is_borrowed_from_the_body_unless_it_has_escapes() {
        assert!(matches!(read(r#""codex""#), Scalar::Text(Cow::Borrowed("codex"))));
        assert_eq!(read(r#""code\u0078""#).text(), Ok("codex"));
        assert_eq!(read("1763634600").text().unwrap_err().0, "wrong_type");
    }

    #[test]
    fn what_is_skipped_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(400_000), "]".repeat(400_000));
        assert_eq!(read(&deep), Scalar::Array);
    }
}
