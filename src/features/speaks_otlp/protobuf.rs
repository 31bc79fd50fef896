//! An export in protobuf. The fields are those of OTLP's `ExportLogsServiceRequest`. What is not asked for is passed over
//! by its length, and nothing is copied or set aside on the way, so that a body of nothing but empty records takes no
//! more memory than itself.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::attribute::{AttributeValue, Attributes, Name};
use super::event::{LONGEST_NAME, LogEvent};
use super::export::{Sink, malformed};
use crate::kernel::problem::Problem;

/// Reads a whole export. Errors: 400 for what is no protobuf, and those of the sink.
pub(super) fn read(body: &[u8], sink: &mut Sink) -> Result<(), Problem> {
    for resource_logs in messages(body, 1).enumerate() {
        let (resource_index, resource_logs) = (resource_logs.0, resource_logs.1?);
        let mut resource = Attributes::default();
        for message in messages(resource_logs, 1) {
            attributes(message?, 1, &mut resource)?;
        }
        let resource = resource.of_resource();
        for (scope_index, scope_logs) in messages(resource_logs, 2).enumerate() {
            let scope_logs = scope_logs?;
            let mut scope = String::new();
            for message in messages(scope_logs, 1) {
                for name in messages(message?, 1) {
                    text(name?)?.clone_into(&mut scope);
                }
            }
            for (record_index, record) in messages(scope_logs, 2).enumerate() {
                let event = event(record?, &resource, &scope)?;
                sink.take([resource_index, scope_index, record_index], &event)?;
            }
        }
    }
    Ok(())
}

fn event(record: &[u8], resource: &Attributes, scope: &str) -> Result<LogEvent, Problem> {
    let mut event = LogEvent { attributes: resource.clone(), scope: scope.to_owned(), ..LogEvent::default() };
    for field in fields(record) {
        match field? {
            (1, Field::Fixed64(nanos)) => event.time_unix_nano = nanos,
            (11, Field::Fixed64(nanos)) => event.observed_time_unix_nano = nanos,
            (5, Field::Bytes(body)) if body.len() <= LONGEST_NAME => {
                if let AttributeValue::Text(text) = value(body)? {
                    event.short_body = Some(text);
                }
            }
            (6, Field::Bytes(attribute)) => set(attribute, &mut event.attributes)?,
            (12, Field::Bytes(name)) if name.len() <= LONGEST_NAME => event.event_name = Some(text(name)?.to_owned()),
            (1 | 11, _) | (5 | 6 | 12, Field::Fixed64(_) | Field::Varint(_) | Field::Skipped) => return Err(broken()),
            _ => {}
        }
    }
    Ok(event)
}

/// The attributes of a message that has them under a tag.
fn attributes(message: &[u8], tag: u32, attributes: &mut Attributes) -> Result<(), Problem> {
    for attribute in messages(message, tag) {
        set(attribute?, attributes)?;
    }
    Ok(())
}

/// Takes an attribute whose name is read.
fn set(attribute: &[u8], attributes: &mut Attributes) -> Result<(), Problem> {
    let (mut name, mut said) = (None, None);
    for field in fields(attribute) {
        match field? {
            (1, Field::Bytes(key)) => name = Name::of(key),
            (2, Field::Bytes(value)) => said = Some(value),
            (1 | 2, _) => return Err(broken()),
            _ => {}
        }
    }
    if let Some((name, said)) = name.zip(said) {
        attributes.set(name, value(said)?);
    }
    Ok(())
}

/// An `AnyValue`. The last member that is set counts.
fn value(message: &[u8]) -> Result<AttributeValue, Problem> {
    let mut value = AttributeValue::Other;
    for field in fields(message) {
        value = match field? {
            (1, Field::Bytes(bytes)) => AttributeValue::Text(text(bytes)?.to_owned()),
            (3, Field::Varint(integer)) => AttributeValue::Integer(integer.cast_signed()),
            (4, Field::Fixed64(bits)) => AttributeValue::of_double(f64::from_bits(bits)),
            _ => AttributeValue::Other,
        };
    }
    Ok(value)
}

/// The messages, or texts, under a tag. Errors: what is no protobuf, and another type under the tag.
fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = Result<&[u8], Problem>> {
    fields(message).filter_map(move |field| match field {
        Ok((tag, Field::Bytes(bytes))) if tag == wanted => Some(Ok(bytes)),
        Ok((tag, _)) if tag == wanted => Some(Err(broken())),
        Ok(_) => None,
        Err(problem) => Some(Err(problem)),
    })
}

/// What a field holds.
#[derive(Clone, Copy, Debug)]
enum Field<'a> {
    Bytes(&'a [u8]),
    Varint(u64),
    Fixed64(u64),
    /// Four bytes, which nothing here has.
    Skipped,
}

/// The fields of a message, each with its tag. The first that cannot be read is the last.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>), Problem>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<(u32, Field<'a>), Problem> {
    let (tag, wire_type) = decode_key(rest).map_err(|_| broken())?;
    let field = match wire_type {
        WireType::Varint => Field::Varint(decode_varint(rest).map_err(|_| broken())?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(rest).map_err(|_| broken())?).map_err(|_| broken())?;
            Field::Bytes(take(rest, length)?)
        }
        WireType::SixtyFourBit => {
            let bytes = take(rest, 8)?.try_into().map_err(|_| broken())?;
            Field::Fixed64(u64::from_le_bytes(bytes))
        }
        WireType::ThirtyTwoBit => {
            take(rest, 4)?;
            Field::Skipped
        }
        // Groups, which OTLP has none of.
        WireType::StartGroup | WireType::EndGroup => return Err(broken()),
    };
    Ok((tag, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Problem> {
    let (taken, left) = rest.split_at_checked(length).ok_or_else(broken)?;
    *rest = left;
    Ok(taken)
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    str::from_utf8(bytes).map_err(|_| broken())
}

fn broken() -> Problem {
    malformed("The body is not the protobuf of an ExportLogsServiceRequest.")
}
