//! How the contract describes the request. Nothing here reads a body: `request` and `imported` do,
//! so that they can report every violation at once. A test compares the two.

use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use super::super::job::Action;
use super::super::pairing::Resolve;
use super::request::MAX_USERS;
use crate::kernel::http::counters::{joined, posted_counters};
use crate::kernel::http::parameters::{list, query};
use crate::kernel::http::schemas;

/// What a job is to do. The stream of an import has the same fields, but for `buckets`, as query parameters.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BackfillOrder)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
pub struct OrderBody {
    /// What it does.
    #[schema(schema_with = action)]
    action: String,
    #[schema(schema_with = schemas::reason)]
    reason: String,
    /// The first UTC day. Required but for merges, which are of all days where it is left out, and reprices, which always are.
    #[schema(value_type = String, format = Date, example = "2026-10-01", required = false)]
    from: String,
    /// The last UTC day, inclusive. An import takes 90 days, unless the server is set otherwise; replays and verifications
    /// ten years. Required but for merges and reprices.
    #[schema(value_type = String, format = Date, example = "2026-10-31", required = false)]
    to: String,
    /// Only these users, 1 to 1000; left out for all. A merge is of one user; left out, of the caller.
    #[schema(required = false, min_items = 1, max_items = 1000)]
    user_ids: Vec<Uuid>,
    /// For imports: what buckets are to say. At most 5000; stream more.
    #[schema(required = false, min_items = 1, max_items = 5000)]
    buckets: Vec<ImportedBucket>,
    /// For merges, required: the device whose buckets are moved. It is revoked before the execution.
    #[schema(required = false)]
    from_device_id: Uuid,
    /// For merges, required: the device that gets them, which may be revoked.
    #[schema(required = false)]
    into_device_id: Uuid,
    /// For merges: what a bucket is to say that both devices have with other counts. `sum`, `larger` (the into-device's
    /// where the totals are equal), `from` or `into`. A plan without it can be looked at, and executed only where no
    /// bucket differs.
    #[schema(required = false, schema_with = resolve)]
    resolve: String,
    /// For reprices, required: the price book that is to be in force, for all users and days.
    #[schema(required = false, minimum = 1, maximum = 65535, example = 2)]
    book: i32,
}

/// What is said beside a stream. A body of JSON says it itself, and then none of these may be there.
#[derive(Clone, Copy, Debug)]
pub struct StreamParameters;

impl IntoParams for StreamParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            query(
                "action",
                "Required of a stream, and refused beside JSON.",
                schemas::one_of([Action::Import.as_str()]),
            ),
            query("reason", "The same.", schemas::reason()),
            query("from", "The same: the first UTC day.", schemas::day()),
            query("to", "The same: the last UTC day, inclusive.", schemas::day()),
            list("user_ids", "Beside a stream: only these users; repeatable.", schemas::id(), MAX_USERS),
        ]
    }
}

/// One of them, with its counters.
pub struct ImportedBucket;

/// What one bucket is to say. Absent counts are 0. There is no `observed_at`: the execution stamps corrections.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it is the description of a body, not its reader")]
struct ImportedKey {
    /// The owner.
    user_id: Uuid,
    /// The device, which must exist.
    device_id: Uuid,
    /// A half hour of the window that has ended.
    #[schema(value_type = String, format = DateTime, example = "2026-10-02T08:30:00Z")]
    hour_start: String,
    /// The tool, which may be a retired one.
    #[schema(schema_with = schemas::source)]
    source: String,
    #[schema(schema_with = schemas::model)]
    model: String,
}

impl ToSchema for ImportedBucket {}

impl PartialSchema for ImportedBucket {
    fn schema() -> RefOr<Schema> {
        joined([ImportedKey::schema(), posted_counters(&[])])
    }
}

fn action() -> Object {
    let one_of = schemas::one_of(Action::ALL.map(Action::as_str));
    one_of.description(Some("What it does.")).examples(["import"]).build()
}

fn resolve() -> Object {
    let one_of = schemas::one_of(Resolve::ALL.map(Resolve::as_str));
    one_of.description(Some("What decides where the devices differ.")).examples(["larger"]).build()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::imported::FIELDS;
    use super::super::request::{self, MAX_BUCKETS, MAX_USERS};
    use super::*;
    use crate::kernel::bucket::{MAX_COUNT, Source};

    fn schema<T: PartialSchema>() -> Value {
        serde_json::to_value(T::schema()).unwrap()
    }

    fn properties(schema: &Value) -> Vec<&str> {
        sorted(schema["properties"].as_object().unwrap().keys().map(String::as_str))
    }

    fn required(schema: &Value) -> Vec<&str> {
        sorted(schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()))
    }

    fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_contract_names_the_fields_of_a_bucket_and_their_limits() {
        let schema = schema::<ImportedBucket>();
        // The last is known only to be refused with a reason.
        let (last, fields) = FIELDS.split_last().unwrap();
        assert_eq!((*last, properties(&schema)), ("observed_at", sorted(fields.iter().copied())));
        assert_eq!(required(&schema), ["device_id", "hour_start", "model", "source", "user_id"]);
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["source"]["pattern"], Source::PATTERN);
        let fields = schema["properties"].as_object().unwrap();
        for (name, property) in fields.iter().filter(|(_, property)| property["type"] == "integer") {
            assert_eq!((&property["minimum"], &property["maximum"]), (&json!(0), &json!(MAX_COUNT)), "{name}");
        }
    }

    #[test]
    fn the_contract_names_the_fields_of_an_order_and_their_limits() {
        let schema = schema::<OrderBody>();
        assert_eq!(properties(&schema), sorted(request::FIELDS));
        assert_eq!(required(&schema), ["action", "reason"]);
        assert_eq!(schema["additionalProperties"], false);
        let limits = |name: &str| schema["properties"][name].clone();
        assert_eq!(limits("action")["enum"], json!(Action::ALL.map(Action::as_str)));
        assert_eq!(limits("resolve")["enum"], json!(Resolve::ALL.map(Resolve::as_str)));
        assert_eq!((&limits("buckets")["minItems"], &limits("buckets")["maxItems"]), (&json!(1), &json!(MAX_BUCKETS)));
        assert_eq!((&limits("user_ids")["minItems"], &limits("user_ids")["maxItems"]), (&json!(1), &json!(MAX_USERS)));
    }
}
