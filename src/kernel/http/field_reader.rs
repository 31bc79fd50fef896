//! Reads named values: the fields of a JSON object, or the parameters of a query.
//!
//! A name may come once. A name that is not known is refused. Every violation is found, not only
//! the first one. An answer never repeats a value, because the value may be a secret.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::malformed::{malformed, not_json, not_utf8};
use super::stand_ins::with_stand_ins;
use crate::kernel::problem::{Problem, Violation};

/// A name is repeated to the caller up to this length, in bytes. No name that exists is longer.
pub const MAX_NAME: usize = 64;

/// The list whose values may hold commas: names of models. Its values come one by one.
pub const LISTED_WHOLE: &str = "model";

/// A filter names at most so many values.
pub const MAX_FILTER_VALUES: usize = 100;

/// The rule that a value broke: its code, and what was expected.
pub type Broken = (&'static str, Cow<'static, str>);

/// The pointer to the member `name` of the object at `pointer`. RFC 6901: `~` and `/` inside a name are written `~0` and
/// `~1`.
pub fn member(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The values that are known by name, and what is already known to be wrong.
#[derive(Debug)]
pub struct FieldReader {
    place: Place,
    values: Vec<(String, Value)>,
    violations: Vec<Violation>,
}

/// Where values are named.
#[derive(Debug)]
enum Place {
    Query,
    /// The object at this pointer.
    Object(String),
}

impl FieldReader {
    /// The fields of a body that may have the `known` ones. Errors: 400 for what is not a JSON object.
    pub fn of_body(body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let json = str::from_utf8(body).map_err(not_utf8)?;
        let read = serde_json::from_str(json).or_else(|error| {
            let held = with_stand_ins(json);
            held.map_or(Err(error), |held| serde_json::from_str(&held))
        });
        match read {
            Ok(Value::Object(members)) => Ok(Self::of_object("", members, known)),
            Ok(_) => Err(malformed("The body is JSON, but no object; send `{…}`.")),
            Err(error) => Err(not_json(json, &error)),
        }
    }

    /// The fields of an object within a body, at `pointer`.
    pub fn of_object(pointer: impl Into<String>, members: Vec<(String, Value)>, known: &[&str]) -> Self {
        let mut fields = Self { place: Place::Object(pointer.into()), values: Vec::new(), violations: Vec::new() };
        for (name, value) in members {
            fields.insert(name, value, known);
        }
        fields
    }

    /// The parameters of a query that may have the `known` ones. Those of them that are `lists` may be repeated, or hold
    /// several values with commas between them: they become lists of texts, the others texts. [`LISTED_WHOLE`] was cut at
    /// its commas before it was decoded.
    pub fn of_query(parameters: &[(String, String)], known: &[&str], lists: &[&str]) -> Self {
        let mut fields = Self { place: Place::Query, values: Vec::new(), violations: Vec::new() };
        for (name, text) in parameters {
            if !lists.contains(&name.as_str()) {
                fields.insert(name.clone(), Value::Text(text.clone()), known);
                continue;
            }
            let pieces: Vec<&str> = if name == LISTED_WHOLE { vec![text] } else { text.split(',').collect() };
            let texts = pieces.into_iter().map(|text| Value::Text(text.to_owned()));
            match fields.values.iter_mut().find(|(before, _)| before == name) {
                Some((_, Value::List(list))) => list.extend(texts),
                _ => fields.values.push((name.clone(), Value::List(texts.collect()))),
            }
        }
        fields
    }

    fn insert(&mut self, name: String, value: Value, known: &[&str]) {
        let (unknown, repeated, kind) = match self.place {
            Place::Query => ("unknown_parameter", "repeated_parameter", "parameter"),
            Place::Object(_) => ("unknown_field", "duplicate_field", "field"),
        };
        if !known.contains(&name.as_str()) {
            let known = if known.is_empty() { Cow::Borrowed("none") } else { known.join(", ").into() };
            self.refuse(&name, (unknown, format!("There is no such {kind}; known are: {known}.").into()));
        } else if self.get(&name).is_some() {
            self.refuse(&name, (repeated, "It comes twice.".into()));
        } else {
            self.values.push((name, value));
        }
    }

    /// The value of this name, whatever it is.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// A required value, as `rule` reads it; `None` where it is missing or breaks the rule.
    pub fn required<T>(&mut self, name: &str, rule: impl FnOnce(&Value) -> Result<T, Broken>) -> Option<T> {
        if self.get(name).is_none() {
            self.refuse(name, ("missing", "This is required.".into()));
        }
        self.optional(name, rule)
    }

    /// The same of a value that may be absent.
    pub fn optional<T>(&mut self, name: &str, rule: impl FnOnce(&Value) -> Result<T, Broken>) -> Option<T> {
        let read = rule(self.get(name)?);
        read.map_err(|broken| self.refuse(name, broken)).ok()
    }

    /// A required text, as `rule` reads it.
    pub fn text<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        self.required(name, |value| rule(value.text()?))
    }

    /// The same of a text that may be absent.
    pub fn optional_text<T>(&mut self, name: &str, rule: impl FnOnce(&str) -> Result<T, Broken>) -> Option<T> {
        self.optional(name, |value| rule(value.text()?))
    }

    /// Each text of a list as `rule` reads it, but for those that break it; none where the list is absent, or has more
    /// than `most` texts, whatever they say.
    pub fn list<T>(&mut self, name: &str, most: usize, mut rule: impl FnMut(&str) -> Result<T, Broken>) -> Vec<T> {
        let listed = |value: &Value| match value.list()? {
            list if list.len() > most => Err(too_many_values(list.len(), most)),
            list => Ok(list.to_vec()),
        };
        let values = self.optional(name, listed).unwrap_or_default();
        let read = values.iter().map(|value| rule(value.text()?));
        read.filter_map(|read| read.map_err(|broken| self.refuse(name, broken)).ok()).collect()
    }

    /// Notes what is wrong with the value of this name.
    pub fn refuse(&mut self, name: &str, (code, detail): Broken) {
        let pointer = match &self.place {
            Place::Query if name.len() > MAX_NAME => "?".to_owned(),
            Place::Query => format!("?{name}"),
            Place::Object(pointer) if name.len() > MAX_NAME => pointer.clone(),
            Place::Object(pointer) => member(pointer, name),
        };
        self.violations.push(Violation::new(pointer, code, detail));
    }

    /// Notes what was found to be wrong elsewhere.
    pub fn add(&mut self, violations: impl IntoIterator<Item = Violation>) {
        self.violations.extend(violations);
    }

    /// What is wrong so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What was read, if nothing is wrong. Errors: every violation.
    pub fn check<T>(self, read: Option<T>) -> Result<T, Vec<Violation>> {
        read.filter(|_| self.violations.is_empty()).ok_or(self.violations)
    }

    /// The same as an answer. Errors: 422 with every violation.
    pub fn finish<T>(self, read: Option<T>) -> Result<T, Problem> {
        self.check(read).map_err(Problem::invalid)
    }
}

/// What is wrong with a list of so many values.
pub fn too_many_values(count: usize, most: usize) -> Broken {
    ("too_many_values", format!("{count} values; name at most {most}, or leave this parameter out.").into())
}

/// A value as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// The members of an object in their order; repeated names stay repeated.
    Object(Vec<(String, Value)>),
    /// A number, a truth or null.
    Other(serde_json::Value),
}

impl Value {
    /// It as a text.
    pub fn text(&self) -> Result<&str, Broken> {
        if let Self::Text(text) = self { Ok(text) } else { Err(("wrong_type", "Expected a string.".into())) }
    }

    /// It as an array.
    pub fn list(&self) -> Result<&[Self], Broken> {
        if let Self::List(list) = self { Ok(list) } else { Err(("wrong_type", "Expected an array.".into())) }
    }

    /// It as a number.
    pub fn number(&self) -> Result<&serde_json::Number, Broken> {
        let number = if let Self::Other(value) = self { value.as_number() } else { None };
        number.ok_or(("wrong_type", "Expected a number.".into()))
    }

    /// It as a truth.
    pub fn truth(&self) -> Result<bool, Broken> {
        let truth = if let Self::Other(value) = self { value.as_bool() } else { None };
        truth.ok_or(("wrong_type", "Expected `true` or `false`.".into()))
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other(serde_json::Value::Null))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Other(truth.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Other(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Other(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Other(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = array.next_element()? {
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = object.next_entry()? {
            members.push(member);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::http::values::line;
    use crate::kernel::problem::Code;

    fn of_body(body: &str) -> FieldReader {
        FieldReader::of_body(body.as_bytes(), &["name", "platform"]).unwrap()
    }

    fn of_query(query: &str) -> FieldReader {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        FieldReader::of_query(&parameters, &["name", "platform", "tag"], &["tag"])
    }

    fn found(mut fields: FieldReader) -> Vec<(String, &'static str)> {
        let name = fields.text("name", |text| line(text, "A name", 3));
        fields.optional_text("platform", |_| Ok(()));
        let violations = fields.check(name).err().unwrap_or_default();
        violations.into_iter().map(|violation| (violation.pointer, violation.code)).collect()
    }

    fn expected<const N: usize>(violations: [(&str, &'static str); N]) -> Vec<(String, &'static str)> {
        violations.map(|(pointer, code)| (pointer.to_owned(), code)).into()
    }

    #[test]
    fn every_violation_of_a_body_is_found_and_named() {
        assert_eq!(found(of_body(r#"{"name":"x"}"#)), []);
        assert_eq!(
            found(of_body(r#"{"platform":null,"a/b~":1,"name":"x","name":"y"}"#)),
            expected([("/a~1b~0", "unknown_field"), ("/name", "duplicate_field"), ("/platform", "wrong_type")])
        );
        assert_eq!(found(of_body("{}")), expected([("/name", "missing")]));
        assert_eq!(found(of_body(r#"{"name":""}"#)), expected([("/name", "wrong_length")]));
    }

    #[test]
    fn every_violation_of_a_query_is_found_and_named() {
        assert_eq!(found(of_query("name=x")), []);
        assert_eq!(
            found(of_query("a/b=1&name=&name=y&name=z")),
            expected([
                ("?a/b", "unknown_parameter"),
                ("?name", "repeated_parameter"),
                ("?name", "repeated_parameter"),
                ("?name", "wrong_length")
            ])
        );
        assert_eq!(found(of_query("=")), expected([("?", "unknown_parameter"), ("?name", "missing")]));
    }

    #[test]
    fn a_list_is_repeated_or_has_commas_and_is_never_a_text() {
        let list = |query: &str| of_query(query).get("tag").cloned();
        let texts =
            |texts: &[&str]| Some(Value::List(texts.iter().map(|text| Value::Text((*text).to_owned())).collect()));
        assert_eq!(list("tag=a,%20b&name=x&tag=c"), texts(&["a", " b", "c"]));
        assert_eq!(list("tag="), texts(&[""]));
        assert_eq!(list("name=x"), None);
        let models = [("model", "a,b"), ("model", "c")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let models = FieldReader::of_query(&models, &["model"], &["model"]).get("model").cloned();
        assert_eq!(models, texts(&["a,b", "c"]), "names of models hold commas");
    }

    #[test]
    fn a_number_that_no_double_holds_is_wrong_where_it_stands() {
        let body = format!(r#"{{"name":1E400,"platform":-{},"colour":[1e999]}}"#, "9".repeat(310));
        let violations = [("/colour", "unknown_field"), ("/name", "wrong_type"), ("/platform", "wrong_type")];
        assert_eq!(found(of_body(&body)), expected(violations));
        assert_eq!(FieldReader::of_body(b"[1e400]", &[]).unwrap_err().code(), Code::Malformed);
    }

    #[test]
    fn half_of_a_surrogate_pair_is_wrong_where_it_stands() {
        let body = r#"{"name":"a\ud83d","platform":"\ud83d\ude00","colour":"\ud83d","\ude00":1}"#;
        let violations =
            [("/colour", "unknown_field"), ("/\u{e1600}", "unknown_field"), ("/name", "control_character")];
        assert_eq!(found(of_body(body)), expected(violations));
        assert_eq!(FieldReader::of_body(br#""\ud83d""#, &[]).unwrap_err().code(), Code::Malformed);
    }

    #[test]
    fn an_object_further_in_is_read_by_the_same_rules_at_its_place() {
        let Value::Object(members) = serde_json::from_str(r#"{"name":"x","name":"x","é":[{}],"platform":1}"#).unwrap()
        else {
            panic!("an object");
        };
        let fields = FieldReader::of_object("/devices/3", members, &["name", "platform"]);
        let violations = [
            ("/devices/3/name", "duplicate_field"),
            ("/devices/3/é", "unknown_field"),
            ("/devices/3/platform", "wrong_type"),
        ];
        assert_eq!(found(fields), expected(violations));
    }

    #[test]
    fn a_name_of_64_bytes_is_repeated_and_a_longer_one_is_not() {
        let (longest, longer) = ("é".repeat(32), "x".repeat(65));
        let body = format!(r#"{{"name":"x","{longest}":1,"{longer}":2}}"#);
        assert_eq!(found(of_body(&body)), expected([(&format!("/{longest}"), "unknown_field"), ("", "unknown_field")]));
        let query = format!("name=x&{longest}=1&{longer}=2");
        let violations = [(&*format!("?{longest}"), "unknown_parameter"), ("?", "unknown_parameter")];
        assert_eq!(found(of_query(&query)), expected(violations));
    }

    #[test]
    fn a_name_of_any_length_is_answered_in_few_bytes_and_a_value_never() {
        let body = format!(r#"{{"{}":"secret","name":"secret"}}"#, "x".repeat(100_000));
        let mut fields = of_body(&body);
        fields.text("name", |_| Err::<(), _>(("bad", "Bad.".into())));
        let answer = format!("{:?}", fields.violations());
        assert!(answer.len() < 500 && !answer.contains("secret"), "{answer}");
    }

    #[test]
    fn what_is_not_an_object_is_malformed() {
        let deep = "[".repeat(100_000);
        for body in ["", "null", "[]", "7", "\"{}\"", "{", r#"{"name":}"#, "{} {}", "\u{fffd}", &deep] {
            assert_eq!(
                FieldReader::of_body(body.as_bytes(), &["name"]).unwrap_err().code(),
                Code::Malformed,
                "{body:.9}"
            );
        }
        assert_eq!(FieldReader::of_body(b"{\"name\":\"\xff\"}", &["name"]).unwrap_err().code(), Code::Malformed);
    }
}
