//! Counters on the wire: the counts of a bucket in replies, and how the contract describes
//! counters. Every name and every meaning comes from the table in `kernel::bucket`.
//!
//! A described object is put together from parts with [`joined`]. A derived description of a
//! flattened struct would be `allOf`, which generators of clients read as inheritance.

use serde::{Serialize, Serializer};
use utoipa::PartialSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder};
use utoipa::openapi::{RefOr, Schema};

use crate::kernel::bucket::{MAX_COUNT, TokenCounts};

/// How many counts replies show: all counters and their total.
const SHOWN: usize = TokenCounts::NAMES_WITH_TOTAL.len();

/// The counts of one bucket and their total, as fields of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownCounts(pub [i64; SHOWN]);

impl From<TokenCounts> for ShownCounts {
    fn from(counts: TokenCounts) -> Self {
        Self(counts.with_total(counts.total()))
    }
}

impl Serialize for ShownCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(TokenCounts::NAMES_WITH_TOTAL.into_iter().zip(self.0))
    }
}

/// What a reply or a request says of a field, where it says more than the table: the field's name
/// and the words.
pub type Wording = (&'static str, &'static str);

/// The counters as fields of a request. Each may be absent, which means 0.
pub fn posted_counters(wordings: &[Wording]) -> RefOr<Schema> {
    let field = |meaning| {
        let count = described::<i64>(meaning).default(Some(0.into()));
        count.minimum(Some(0_i64)).maximum(Some(MAX_COUNT))
    };
    let fields = meanings(wordings).into_iter();
    let object = fields.fold(ObjectBuilder::new(), |object, (name, meaning)| object.property(name, field(meaning)));
    RefOr::T(object.build().into())
}

/// The counters and their total as fields of a reply, with values like `T`.
pub fn shown_counters<T: PartialSchema>(total: &'static str, wordings: &[Wording]) -> RefOr<Schema> {
    let meanings = meanings(wordings);
    let object = TokenCounts::NAMES_WITH_TOTAL.into_iter().fold(ObjectBuilder::new(), |object, name| {
        let meaning = meanings.iter().find(|(known, _)| *known == name).map_or(total, |(_, meaning)| meaning);
        object.property(name, described::<T>(meaning)).required(name)
    });
    RefOr::T(object.build().into())
}

/// One object with the fields of all parts, in their order. Its description is that of the first
/// part that has one, and everything else about it is as in the first part.
pub fn joined(parts: impl IntoIterator<Item = RefOr<Schema>>) -> RefOr<Schema> {
    let objects = parts.into_iter().filter_map(|part| match part {
        RefOr::T(Schema::Object(object)) => Some(object),
        _ => None,
    });
    let joined = objects.reduce(|mut joined, part| {
        joined.required.extend(part.required);
        joined.properties.extend(part.properties);
        joined.description = joined.description.or(part.description);
        joined
    });
    RefOr::T(joined.unwrap_or_default().into())
}

/// Every counter with its meaning: the words of the slice, or else those of the table.
fn meanings(wordings: &[Wording]) -> [Wording; TokenCounts::NAMES.len()] {
    let mut meanings = TokenCounts::NAMES.map(|name| (name, name));
    for ((name, meaning), known) in meanings.iter_mut().zip(TokenCounts::MEANINGS) {
        let wording = wordings.iter().find(|(worded, _)| worded == name);
        *meaning = wording.map_or(known, |(_, words)| words);
    }
    meanings
}

fn described<T: PartialSchema>(meaning: &str) -> ObjectBuilder {
    let object = match T::schema() {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::default(),
    };
    ObjectBuilder::from(object).description(Some(meaning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown_in_the_order_of_the_table_with_their_total_among_them() {
        let counts = TokenCounts { input_tokens: 2, output_tokens: 3, request_count: 1, ..TokenCounts::default() };
        let shown = serde_json::to_string(&ShownCounts::from(counts)).unwrap();
        let value = |name| match name {
            "input_tokens" => 2,
            "output_tokens" => 3,
            "total_tokens" => 5,
            name => i64::from(name == "request_count"),
        };
        let fields = TokenCounts::NAMES_WITH_TOTAL.map(|name| format!("\"{name}\":{}", value(name)));
        let expected = format!("{{{}}}", fields.join(","));
        assert_eq!(shown, expected);
    }

    #[test]
    fn joined_parts_keep_their_order_and_the_words_of_a_slice_come_before_those_of_the_table() {
        let parts = [
            ObjectBuilder::new().property("key", String::schema()).required("key").into(),
            shown_counters::<u128>("The sum.", &[("request_count", "Calls.")]),
            ObjectBuilder::new().description(Some("The whole.")).into(),
        ];
        let schema = serde_json::to_value(joined(parts)).unwrap();
        let required: Vec<_> = ["key"].into_iter().chain(TokenCounts::NAMES_WITH_TOTAL).collect();
        assert_eq!(schema["required"], serde_json::json!(required));
        assert_eq!(schema["description"], "The whole.");
        let description = |name: &str| schema["properties"][name]["description"].clone();
        assert_eq!([description("total_tokens"), description("request_count")], ["The sum.", "Calls."]);
        assert_eq!(description("input_tokens"), TokenCounts::MEANINGS[0]);
    }
}
