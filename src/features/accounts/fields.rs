//! A JSON object of named texts, read so that everything that is wrong with it is found. What was sent is never
//! repeated in an answer: it may be a secret.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use crate::kernel::problem::{Code, Problem, Violation};

/// A field's name is repeated to the caller up to this length, in bytes. No field that exists is longer.
const MAX_NAME: usize = 64;

/// The rule that a value broke: its code, and what was expected.
pub type Broken = (&'static str, &'static str);

/// The fields of one object, and what is already known to be wrong.
#[derive(Default)]
pub struct Fields {
    values: BTreeMap<String, Value>,
    violations: Vec<Violation>,
}

impl Fields {
    /// Reads a body that may have the `known` fields. Errors: 400 for what is not a JSON object.
    pub fn read(body: &[u8], known: &[&'static str]) -> Result<Self, Problem> {
        let Entries(entries) = serde_json::from_slice(body)
            .map_err(|_| Problem::new(Code::Malformed, "The body is not a JSON object, or breaks off."))?;
        let mut fields = Self::default();
        for (name, value) in entries {
            if !known.contains(&name.as_str()) {
                fields.violations.push(unknown(&name, known));
            } else if fields.values.insert(name.clone(), value).is_some() {
                fields.refuse(&name, ("duplicate_field", "This field comes twice."));
            }
        }
        Ok(fields)
    }

    /// The text of a required field, as `rule` reads it; `None` where it is missing or breaks the rule.
    pub fn text<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        if !self.values.contains_key(name) {
            self.refuse(name, ("missing", "This field is required."));
        }
        self.optional_text(name, rule)
    }

    /// The same of a field that may be absent.
    pub fn optional_text<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        let read = match self.values.get(name)? {
            Value::String(text) => rule(text),
            _ => Err(("wrong_type", "Expected a string.")),
        };
        read.map_err(|broken| self.refuse(name, broken)).ok()
    }

    /// What was read, if nothing is wrong. Errors: 422 with every violation.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        match read {
            Some(read) if self.violations.is_empty() => Ok(read),
            _ => Err(Problem::invalid(self.violations)),
        }
    }

    fn refuse(&mut self, name: &str, (code, detail): Broken) {
        self.violations.push(Violation::new(format!("/{name}"), code, detail));
    }
}

/// RFC 6901: `~` and `/` inside a name are written `~0` and `~1`.
fn unknown(name: &str, known: &[&str]) -> Violation {
    let pointer = match name.len() {
        ..=MAX_NAME => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
        _ => String::new(),
    };
    Violation::new(pointer, "unknown_field", format!("There is no such field; known are {}.", known.join(", ")))
}

/// An object's members in their order; repeated names stay repeated.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = object.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(body: &str) -> Vec<(String, &'static str)> {
        let mut fields = Fields::read(body.as_bytes(), &["name", "platform"]).unwrap();
        let name = fields.text("name", |text| if text.is_empty() { Err(("empty", "")) } else { Ok(text.to_owned()) });
        fields.optional_text("platform", |_| Ok(()));
        let problem = fields.finish(name).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn every_violation_is_found_and_named() {
        assert_eq!(
            violations(r#"{"a/b":1,"platform":null,"name":"x","name":"y"}"#),
            [("/a~1b", "unknown_field"), ("/name", "duplicate_field"), ("/platform", "wrong_type")]
                .map(|(pointer, code)| (pointer.to_owned(), code))
        );
        assert_eq!(violations("{}"), [("/name".to_owned(), "missing")]);
        assert_eq!(violations(r#"{"name":""}"#), [("/name".to_owned(), "empty")]);
    }

    #[test]
    fn a_name_of_any_length_is_answered_in_few_bytes_and_a_value_never() {
        let body = format!(r#"{{"{}":"secret","name":"secret"}}"#, "x".repeat(100_000));
        let mut fields = Fields::read(body.as_bytes(), &["name"]).unwrap();
        fields.text("name", |_| Err::<(), _>(("bad", "Bad.")));
        let problem = fields.finish(None::<()>).unwrap_err();
        let answer = format!("{:?}", problem.violations());
        assert!(answer.len() < 500 && !answer.contains("secret"), "{answer}");
    }

    #[test]
    fn what_is_not_an_object_is_malformed() {
        let deep = "[".repeat(100_000);
        for body in ["", "null", "[]", "7", "{", r#"{"name":}"#, "{} {}", &deep] {
            assert_eq!(Fields::read(body.as_bytes(), &["name"]).err().unwrap().code(), Code::Malformed);
        }
        assert_eq!(Fields::read(b"{\"name\":\"\xff\"}", &["name"]).err().unwrap().code(), Code::Malformed);
    }
}
