//! An export in JSON, as OTLP has it: names in camelCase, 64-bit integers as texts or as numbers. What is not asked for
//! is passed over. Lists are walked through without being set aside.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::attribute::{AttributeValue, Attributes, Name};
use super::event::{LONGEST_NAME, LogEvent};
use super::export::{Sink, malformed};
use crate::kernel::problem::{Problem, Violation};

/// Reads a whole export. Errors: 400 for what is no JSON, or another one; those of the sink.
pub(super) fn read(body: &[u8], sink: &mut Sink) -> Result<(), Problem> {
    let utf8 = str::from_utf8(body).map_err(|_| malformed("The body is not UTF-8."))?;
    let root: &RawValue = serde_json::from_str(utf8).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        malformed(format!("The body is not well-formed JSON, at line {line} column {column}."))
    })?;
    let mut path = Path::default().member("resourceLogs");
    each(export(root)?, &path.clone(), |resource_index, resource_logs| {
        path.push(resource_index);
        let ResourceLogs { resource, scope_logs } = object(resource_logs, &path)?;
        let mut inherited = Attributes::default();
        if let Some(resource) = resource {
            let Resource { attributes } = object(resource, &path.member("resource"))?;
            set_all(attributes, &path.member("resource").member("attributes"), &mut inherited)?;
        }
        let inherited = inherited.of_resource();
        let mut path = path.member("scopeLogs");
        each(scope_logs, &path.clone(), |scope_index, scope_logs| {
            path.push(scope_index);
            let ScopeLogs { scope, log_records } = object(scope_logs, &path)?;
            let scope = match scope {
                Some(scope) => object::<Scope<'_>>(scope, &path.member("scope"))?.name.map(text).unwrap_or_default(),
                None => String::new(),
            };
            let mut path = path.member("logRecords");
            each(log_records, &path.clone(), |record_index, record| {
                path.push(record_index);
                let event = event(record, &path, &inherited, &scope)?;
                sink.take([resource_index, scope_index, record_index], &event)
            })
        })
    })
}

fn event(record: &RawValue, path: &Path, resource: &Attributes, scope: &str) -> Result<LogEvent, Problem> {
    let record: LogRecord<'_> = object(record, path)?;
    let short = |raw: &&RawValue| raw.get().len() <= 2 * LONGEST_NAME;
    let mut event = LogEvent {
        attributes: resource.clone(),
        scope: scope.to_owned(),
        time_unix_nano: record.time_unix_nano.map_or(0, nanos),
        observed_time_unix_nano: record.observed_time_unix_nano.map_or(0, nanos),
        event_name: record.event_name.filter(short).map(text),
        short_body: None,
    };
    if let Some(AttributeValue::Text(name)) = record.body.filter(short).map(value) {
        event.short_body = Some(name);
    }
    set_all(record.attributes, &path.member("attributes"), &mut event.attributes)?;
    Ok(event)
}

fn set_all(list: Option<&RawValue>, path: &Path, attributes: &mut Attributes) -> Result<(), Problem> {
    let mut path = path.clone();
    each(list, &path.clone(), |index, attribute| {
        path.push(index);
        let KeyValue { key, value: said } = object(attribute, &path)?;
        if let Some(name) = key.and_then(|key| Name::of(text(key).as_bytes())) {
            attributes.set(name, said.map_or(AttributeValue::Other, value));
        }
        Ok(())
    })
}

/// An `AnyValue`. What is none is no value of a count either.
fn value(raw: &RawValue) -> AttributeValue {
    let Ok(any) = serde_json::from_str::<AnyValue<'_>>(raw.get()) else { return AttributeValue::Other };
    let number = |raw: &RawValue| match raw.get() {
        quoted if quoted.starts_with('"') => AttributeValue::of_digits(&text(raw)),
        number => match AttributeValue::of_digits(number) {
            AttributeValue::Other => number.parse().map_or(AttributeValue::Other, AttributeValue::of_double),
            integer => integer,
        },
    };
    match (any.string_value, any.int_value, any.double_value) {
        (Some(raw), ..) => serde_json::from_str(raw.get()).map_or(AttributeValue::Other, AttributeValue::Text),
        (_, Some(raw), _) | (.., Some(raw)) => number(raw),
        _ => AttributeValue::Other,
    }
}

/// A text; what is none is empty.
fn text(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// Nanoseconds as a text or as a number; what is neither is nobody's time.
fn nanos(raw: &RawValue) -> u64 {
    raw.get().trim_matches('"').parse().unwrap_or_default()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    #[serde(borrow)]
    scope_logs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow)]
    scope: Option<&'a RawValue>,
    #[serde(borrow)]
    log_records: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(borrow)]
    time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow)]
    observed_time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow)]
    event_name: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    attributes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<&'a RawValue>,
    #[serde(borrow)]
    int_value: Option<&'a RawValue>,
    #[serde(borrow)]
    double_value: Option<&'a RawValue>,
}

/// The list of an export. An export of nothing is fine; an object that has members, and not this one, is of another
/// protocol. Errors: 400.
fn export(root: &RawValue) -> Result<Option<&RawValue>, Problem> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = (Option<&'de RawValue>, bool);

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let (mut list, mut is_there, mut has_others) = (None, false, false);
            while let Some(name) = members.next_key::<&RawValue>()? {
                if name.get() == "\"resourceLogs\"" {
                    list = members.next_value()?;
                    is_there = true;
                } else {
                    has_others = true;
                    members.next_value::<IgnoredAny>()?;
                }
            }
            Ok((list, has_others && !is_there))
        }
    }

    let mut reader = serde_json::Deserializer::from_str(root.get());
    let (list, is_another) = reader.deserialize_map(Members).map_err(|_| wrong("", "an object"))?;
    if is_another {
        let missing = Violation::new("/resourceLogs", "missing", "An export of logs has a list of this name.");
        return Err(malformed("This is no export of OTLP logs; see errors.").violating(vec![missing]));
    }
    Ok(list)
}

/// An object. Errors: 400 with its place.
fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue, path: &Path) -> Result<T, Problem> {
    serde_json::from_str(raw.get()).map_err(|_| wrong(&path.0, "an object in which no member comes twice"))
}

/// Walks through a list; an absent one is empty. Errors: 400 with its place, and those of the walk.
fn each<'a>(
    list: Option<&'a RawValue>,
    path: &Path,
    walk: impl FnMut(usize, &'a RawValue) -> Result<(), Problem>,
) -> Result<(), Problem> {
    struct Elements<F> {
        walk: F,
        failed: Option<Problem>,
    }

    impl<'de, F: FnMut(usize, &'de RawValue) -> Result<(), Problem>> Visitor<'de> for &mut Elements<F> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
            let mut index = 0;
            while let Some(element) = elements.next_element()? {
                if let Err(problem) = (self.walk)(index, element) {
                    self.failed = Some(problem);
                    return Err(serde::de::Error::custom("the walk has ended"));
                }
                index += 1;
            }
            Ok(())
        }
    }

    let Some(list) = list else { return Ok(()) };
    let mut elements = Elements { walk, failed: None };
    let walked = serde_json::Deserializer::from_str(list.get()).deserialize_seq(&mut elements);
    match (elements.failed, walked) {
        (Some(problem), _) => Err(problem),
        (None, Err(_)) => Err(wrong(&path.0, "a list")),
        (None, Ok(())) => Ok(()),
    }
}

/// Where something stands in the body, as a JSON pointer. Its last part may be an index that goes on.
#[derive(Clone, Debug, Default)]
struct Path(String, usize);

impl Path {
    /// The member of this name.
    fn member(&self, name: &str) -> Self {
        let path = format!("{}/{name}", self.0);
        let length = path.len();
        Self(path, length)
    }

    /// Another element of the list.
    fn push(&mut self, index: usize) {
        self.0.truncate(self.1);
        self.0.push('/');
        self.0.push_str(&index.to_string());
    }
}

fn wrong(pointer: &str, expected: &str) -> Problem {
    let violation = Violation::new(pointer, "wrong_type", format!("Expected {expected}."));
    malformed("This is no export of OTLP logs; see errors.").violating(vec![violation])
}
