//! How the contract describes the request. Nothing here reads a body: `request` does, so that it
//! can report every violation at once. A test compares the two.

use chrono::{DateTime, Utc};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use crate::kernel::http::counters::{Wording, joined, posted_counters};
use crate::kernel::http::parameters::header;
use crate::kernel::http::schemas;

/// Snapshots of one device.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = example)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub(super) struct PostedBuckets {
    /// In any order; several versions of one bucket are fine.
    #[schema(max_items = 500)]
    buckets: Vec<PostedBucket>,
}

/// One of them, with its counters.
pub(super) struct PostedBucket;

/// What a device used of one model, through one tool, in one half hour, in total and as of `observed_at`. The classes
/// of tokens are disjoint.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
struct PostedSnapshot {
    /// Start of the half hour: on `:00` or `:30` in UTC, from 2020 on, not in the future, not older than the server
    /// takes.
    hour_start: DateTime<Utc>,
    /// The tool.
    #[schema(schema_with = schemas::source)]
    source: String,
    #[schema(schema_with = schemas::model)]
    model: String,
    /// When the snapshot was taken: of two versions the later one wins. At most 5 minutes ahead of the server; finer
    /// fractions than microseconds are cut off. Without it the snapshot counts as taken when it arrives.
    #[schema(required = false)]
    observed_at: DateTime<Utc>,
    /// Whether the total may be smaller than what was sent before, and is meant to be. It matters only for a snapshot
    /// that was taken more than 25 days after the end of its half hour: without it such a snapshot replaces none that
    /// was taken earlier, and gets the verdict `kept`.
    #[schema(required = false, default = false)]
    retracts: bool,
}

impl ToSchema for PostedBucket {}

impl PartialSchema for PostedBucket {
    fn schema() -> RefOr<Schema> {
        joined([PostedSnapshot::schema(), posted_counters(&WORDINGS)])
    }
}

/// What the request says of counters beyond their table.
const WORDINGS: [Wording; 5] = [
    ("cache_write_5m_tokens", "Input written to a cache that lives 5 minutes."),
    ("cache_write_1h_tokens", "Input written to a cache that lives 1 hour."),
    ("reasoning_tokens", "The part of `output_tokens` that was reasoning; it is not added again."),
    ("unclassified_tokens", "Tokens that the tool reports only as a total."),
    ("request_count", "Model requests; 0 where the tool does not say."),
];

/// How a post with buckets that are not acceptable is handled.
#[derive(Clone, Copy, Debug)]
pub(super) struct PreferHeader;

impl IntoParams for PreferHeader {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let words = ObjectBuilder::new().schema_type(Type::String).examples(["handling=lenient"]);
        vec![header("Prefer", "RFC 7240: `handling=lenient` or `handling=strict`. Others are passed over.", words)]
    }
}

fn example() -> serde_json::Value {
    serde_json::json!({"buckets": [{
        "hour_start": "2026-11-20T10:30:00Z",
        "source": "claude-code",
        "model": "claude-opus-4-5",
        "observed_at": "2026-11-20T10:52:10Z",
        "input_tokens": 1200,
        "cache_read_tokens": 90000,
        "output_tokens": 800,
    }]})
}

#[cfg(test)]
mod tests {
    use super::super::body::Field;
    use super::*;
    use crate::kernel::bucket::{MAX_COUNT, MAX_POSTED, Model, Source};

    #[test]
    fn the_contract_names_the_fields_that_the_body_takes_and_its_limits() {
        let schema = serde_json::to_value(PostedBucket::schema()).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let mut fields = Field::ALL.map(Field::name);
        fields.sort_unstable();
        let mut documented: Vec<_> = properties.keys().map(String::as_str).collect();
        documented.sort_unstable();
        assert_eq!(documented, fields);
        assert_eq!(schema["required"], serde_json::json!(["hour_start", "source", "model"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(properties["source"]["pattern"], Source::PATTERN);
        let lengths = (&properties["model"]["minLength"], &properties["model"]["maxLength"]);
        assert_eq!(lengths, (&1.into(), &Model::MAX_CHARACTERS.into()));
        for (name, property) in properties.iter().filter(|(_, property)| property["type"] == "integer") {
            assert_eq!((&property["minimum"], &property["maximum"]), (&0.into(), &MAX_COUNT.into()), "{name}");
        }
        let envelope = serde_json::to_value(PostedBuckets::schema()).unwrap();
        assert_eq!(envelope["properties"]["buckets"]["maxItems"], MAX_POSTED);
        assert_eq!(envelope["additionalProperties"], false);
    }
}
