//! How the contract describes single values, wherever they are sent. The bounds are those that `values` keeps, and what a
//! schema cannot say stands in words.

use serde_json::Value;
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type};

use super::page::MAX_LIMIT;
use super::values::{MAX_NAME, MAX_PASTED, MAX_REASON, MAX_ZONE};
use crate::kernel::bucket::{Model, Source};

/// One line of text, as `values::line` takes it.
pub const LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
/// A model's name as far as a pattern can tell it.
pub const MODEL: &str = r"^\S(.*\S)?$";
/// What may be a zone's name at all.
pub const ZONE: &str = "^[A-Za-z0-9_+/-]+$";
/// A day from 1970 to 9998.
pub const DAY: &str =
    "^(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$";
/// A cursor: base64 for URLs.
pub const CURSOR: &str = "^[A-Za-z0-9_-]+$";
/// A token of any kind, as it is shown.
pub const TOKEN: &str = "^hh[dvo]_[A-Za-z0-9_-]+$";
/// What `str::trim` cuts off, character by character: `\s` is another set in each language.
pub const BLANKS: &str = r"[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*";
/// What is neither a control character nor a blank.
const INK: &str = r"[^\x00- \x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";

/// A text of 1 to `most` characters of this pattern.
pub fn text(pattern: &str, most: usize) -> ObjectBuilder {
    string().pattern(Some(pattern)).min_length(Some(1)).max_length(Some(most))
}

/// One line of text, as `values::trimmed_line` takes it.
pub fn trimmed_line(most: usize) -> ObjectBuilder {
    text(&format!(r"^{BLANKS}{INK}([^\x00-\x1f\x7f-\x9f]*{INK})?{BLANKS}$"), most)
}

/// A tool's name. Which there are is data, so the contract says the form and where to read them.
pub fn source() -> Object {
    let about = "The tool, by the name that `GET /v1/sources` has for it.";
    text(Source::PATTERN, 64).description(Some(about)).examples(["claude-code"]).build()
}

/// A model's name.
pub fn model() -> Object {
    let about = "The model, by the tool's name for it: text without control, format and unassigned characters, without \
        ends of lines, and without blanks at its ends. At most 512 bytes.";
    text(MODEL, Model::MAX_CHARACTERS).description(Some(about)).examples(["claude-opus-4-5"]).build()
}

/// The name of a user or a device.
pub fn name() -> Object {
    let about = "Unique among those of the same owner that are active; one line of text.";
    text(LINE, MAX_NAME).description(Some(about)).examples(["laptop"]).build()
}

/// Why something is done.
pub fn reason() -> Object {
    let about = "Why, for the audit: one line of text. Blanks around it are cut off.";
    trimmed_line(MAX_REASON).description(Some(about)).examples(["disk is full, ticket 7"]).build()
}

/// The name of a time zone.
pub fn time_zone() -> Object {
    let about = "An IANA name, in PostgreSQL's spelling. PostgreSQL knows which there are.";
    text(ZONE, MAX_ZONE).description(Some(about)).examples(["Europe/Berlin"]).build()
}

/// A day.
pub fn day() -> Object {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))).pattern(Some(DAY)).build()
}

/// An instant.
pub fn instant() -> Object {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).build()
}

/// An id.
pub fn id() -> Object {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))).build()
}

/// A link code, or the code of a pairing, as a person types it.
pub fn typed_code() -> Object {
    let about = "As it was shown. Only letters and digits count, in either case, wide or narrow. At most 1,024 bytes.";
    let text = string().min_length(Some(1)).max_length(Some(MAX_PASTED));
    text.description(Some(about)).examples(["7K3M-9QXD-2VTA"]).build()
}

/// `true` or `false`.
pub fn truth() -> Object {
    ObjectBuilder::new().schema_type(Type::Boolean).build()
}

/// An integer from 1 to `most`.
pub fn number(most: u16) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1_u16)).maximum(Some(most))
}

/// How many entries a page has.
pub fn limit(by_default: u16) -> Object {
    number(MAX_LIMIT).default(Some(by_default.into())).build()
}

/// Where a page begins.
pub fn cursor() -> Object {
    text(CURSOR, 4096).build()
}

/// One of these words.
pub fn one_of<const N: usize>(words: [&str; N]) -> ObjectBuilder {
    string().enum_values(Some(words.map(Value::from)))
}

/// One of these words, or null.
pub fn one_of_or_null<const N: usize>(words: [&str; N]) -> ObjectBuilder {
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    let words = words.into_iter().map(Value::from).chain([Value::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(words))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
