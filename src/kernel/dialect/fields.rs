//! Reads the bodies of other products' trackers: generously in each value, because one that cannot be read must hold up no
//! other, and strictly in the whole, because what is no body of theirs was meant for somebody else.

use serde_json::{Map, Value};

use super::protocol::Objection;
use crate::kernel::bucket::{HalfHour, MAX_COUNT};
use crate::kernel::http::stand_ins::with_stand_ins;
use crate::kernel::http::values;
use crate::kernel::problem::{Code, Problem, Violation};

/// A value takes some 30 times the byte that it is written with. No tracker's body has as many values.
const MOST_VALUES: usize = 100_000;

/// A body of JSON.
#[derive(Debug)]
pub struct ForeignBody(pub Value);

/// The members of an object. What is null is absent.
#[derive(Clone, Copy, Debug)]
pub struct ForeignFields<'body>(&'body Map<String, Value>);

impl ForeignBody {
    /// Errors: 400 for what is not JSON, 413 for more values than any tracker sends.
    pub fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        if memchr::memchr_iter(b',', bytes).take(MOST_VALUES).count() == MOST_VALUES {
            return Err(Problem::new(Code::BatchTooLarge, "The body has more values than a request may; split it."));
        }
        let read = serde_json::from_slice(bytes).or_else(|error| {
            let held = str::from_utf8(bytes).ok().and_then(with_stand_ins);
            held.map_or(Err(error), |held| serde_json::from_str(&held))
        });
        let malformed = || Problem::new(Code::Malformed, "The body is not well-formed JSON, or breaks off.");
        read.map(Self).map_err(|_| malformed())
    }

    /// Its members. Errors: 400 where it is no object.
    pub fn fields(&self) -> Result<ForeignFields<'_>, Problem> {
        ForeignFields::of(&self.0).ok_or_else(|| Problem::new(Code::Malformed, "The body is not a JSON object."))
    }
}

impl<'body> ForeignFields<'body> {
    /// Of an object; `None` where it is none.
    pub fn of(value: &'body Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// The value of this name, unless it is null.
    pub fn get(self, name: &str) -> Option<&'body Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A list.
    pub fn list(self, name: &str) -> Option<&'body [Value]> {
        self.get(name)?.as_array().map(Vec::as_slice)
    }

    /// A text that may be absent.
    pub fn text(self, name: &str) -> Result<Option<&'body str>, Objection> {
        self.get(name).map(|value| value.as_str().ok_or("wrong_type")).transpose()
    }

    /// The start of a half hour.
    pub fn half_hour(self, name: &str) -> Result<HalfHour, Objection> {
        let text = self.text(name)?.ok_or("missing")?;
        values::half_hour(text).map_err(|(code, _)| code)
    }

    /// A count, which may be written in digits within a string; 0 where it is absent.
    pub fn count(self, name: &str) -> Result<i64, Objection> {
        match self.get(name) {
            None => Ok(0),
            Some(Value::Number(number)) => values::count(number).map_err(|(code, _)| code),
            Some(Value::String(digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().filter(|count| *count <= MAX_COUNT).ok_or("out_of_range")
            }
            Some(_) => Err("wrong_type"),
        }
    }

    /// What a person is shown, such as a machine's name: on one line, of at most `most` characters, and `otherwise` where
    /// that leaves nothing.
    pub fn label(self, name: &str, most: usize, otherwise: &str) -> String {
        let text = self.get(name).and_then(Value::as_str).unwrap_or_default();
        let line: String = text.chars().filter(|character| !character.is_control()).take(most).collect();
        if line.trim().is_empty() { otherwise.to_owned() } else { line.trim().to_owned() }
    }
}

/// 422: there is nothing here that this protocol sends, so that nothing may be taken for sent.
pub fn no_known_body(expected: &str) -> Problem {
    let detail =
        format!("This is no body of this protocol: expected {expected}. Check which server address the tracker has.");
    Problem::invalid(vec![Violation::new("", "unknown_body", detail)])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_are_integers_or_digits_and_absent_ones_are_zero() {
        let body = json!({"a": 5, "b": "12", "c": null, "d": -1, "e": 1.5, "f": "1e3", "g": [1], "h": 1_000_000_000_001_i64,
            "i": "99999999999999999999", "j": "", "k": true, "l": "+1"});
        let fields = ForeignFields::of(&body).unwrap();
        let read = |name: &str| fields.count(name);
        assert_eq!([read("a"), read("b"), read("c"), read("z")], [Ok(5), Ok(12), Ok(0), Ok(0)]);
        for (name, code) in [
            ("d", "out_of_range"),
            ("e", "not_an_integer"),
            ("f", "wrong_type"),
            ("g", "wrong_type"),
            ("h", "out_of_range"),
            ("i", "out_of_range"),
            ("j", "wrong_type"),
            ("k", "wrong_type"),
            ("l", "wrong_type"),
        ] {
            assert_eq!(read(name), Err(code), "{name}");
        }
    }

    #[test]
    fn a_number_beyond_all_numbers_spoils_its_row_only() {
        let body = ForeignBody::parse(br#"{"a": 1e999, "b": 123456789012345678901234567890, "c": 7}"#).unwrap();
        let fields = body.fields().unwrap();
        assert_eq!(
            [fields.count("a"), fields.count("b"), fields.count("c")],
            [Err("out_of_range"), Err("out_of_range"), Ok(7)]
        );
    }

    #[test]
    fn half_hours_and_labels_say_what_is_wrong_with_them_or_fall_back() {
        let body = json!({"good": "2026-11-20T10:30:00.000Z", "odd": "2026-11-20T10:31:00Z", "number": 7, "name": " \u{7}a\nb ",
            "long": "é".repeat(200)});
        let fields = ForeignFields::of(&body).unwrap();
        assert_eq!(fields.half_hour("good").unwrap().start().to_rfc3339(), "2026-11-20T10:30:00+00:00");
        let errors = ["odd", "number", "none", "name"].map(|name| fields.half_hour(name).unwrap_err());
        assert_eq!(errors, ["not_a_half_hour", "wrong_type", "missing", "not_an_instant"]);
        assert_eq!((fields.label("name", 9, "x"), fields.label("none", 9, "x")), ("ab".to_owned(), "x".to_owned()));
        assert_eq!(fields.label("long", 100, "x").chars().count(), 100);
    }

    #[test]
    fn what_is_no_json_or_too_much_of_it_is_refused() {
        for bad in [&b""[..], b"{", b"\xff", b"{\"a\":}"] {
            assert_eq!(ForeignBody::parse(bad).unwrap_err().code(), Code::Malformed);
        }
        let many = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert_eq!(ForeignBody::parse(many.as_bytes()).unwrap_err().code(), Code::BatchTooLarge);
        assert_eq!(ForeignBody::parse(b"[]").unwrap().fields().unwrap_err().code(), Code::Malformed);
    }
}
