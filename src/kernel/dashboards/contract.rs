//! What the contract says of these routes alike.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, Paths};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Object, ObjectBuilder, PathItem, RefOr, Schema, Type};
use utoipa::{IntoParams, PartialSchema as _};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::parameters::{MOST_MONTHS, MOST_WEEKS, WEEKS_BY_DEFAULT};
use super::zones::FARTHEST;
use crate::kernel::http::field_reader::MAX_FILTER_VALUES;
use crate::kernel::http::parameters::{list, query};
use crate::kernel::http::schemas::{self, BLANKS, text};

/// What [`super::dashboard_reply`] says in headers.
const FRESHNESS: [(&str, &str); 3] = [
    ("Halfhour-As-Of", "Everything acknowledged before this instant is in the sums."),
    ("Halfhour-Pending", "`true` while newer changes wait to be folded."),
    ("Halfhour-Version", "Rises when the user's rollup changes."),
];

/// No query has a longer value.
const LONGEST: usize = 16 * 1024;

/// A value, or nothing: these dashboards send parameters that say nothing, and mean that they are absent.
fn or_blank(schema: Object) -> RefOr<Schema> {
    AnyOfBuilder::new().item(schema).item(text(&format!("^{BLANKS}$"), LONGEST).min_length(None)).into()
}

/// Text of this pattern or nothing, with blanks around it.
fn amid_blanks(pattern: &str, about: &str, example: &str) -> Object {
    let text = text(&format!("^{BLANKS}({pattern})?{BLANKS}$"), LONGEST).min_length(None);
    text.description(Some(about)).examples([example]).build()
}

/// A tool.
fn source() -> Object {
    let about = "The tool, by the name that `GET /v1/sources` has for it, in small or capital letters.";
    amid_blanks("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", about, "claude-code")
}

/// A model.
fn model() -> Object {
    let about = "The model, by the tool's name for it, which has at most 512 bytes: text without control, format and \
        unassigned characters, and without ends of lines.";
    amid_blanks(r"\S(.{0,254}\S)?", about, "claude-opus-4-5")
}

fn day(name: &str, meaning: &str) -> Parameter {
    query(name, meaning, or_blank(schemas::day()))
}

/// What may not be said beside everything has no `default`: generated clients say it.
fn number(name: &str, meaning: &str, by_default: u16, most: u16) -> Parameter {
    query(name, &format!("{meaning} By default {by_default}."), or_blank(schemas::number(most).build()))
}

/// Makes a type for parameters that several questions have.
macro_rules! parameters {
    ($($(#[$about:meta])* $name:ident: [$($parameter:expr),* $(,)?])*) => {
        $(
            $(#[$about])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl IntoParams for $name {
                fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                    vec![$($parameter),*]
                }
            }
        )*
    };
}

parameters! {
    /// What every question may say.
    ZoneAndFilters: [
        query("tz", "The IANA zone whose days are meant; by default the user's own.", or_blank(schemas::time_zone())),
        query(
            "tz_offset_minutes",
            "Minutes ahead of UTC, for callers that name no `tz`: of a zone that is as far from UTC all year, else refused.",
            or_blank(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(-FARTHEST)).maximum(Some(FARTHEST)).build()),
        ),
        list("source", "Count only this tool; repeatable.", source(), MAX_FILTER_VALUES),
        list("model", "Count only this model; repeatable. A comma of its name is `%2C`.", model(), MAX_FILTER_VALUES),
    ]

    /// Which devices count.
    DevicesParameter: [list("device_id", "Count only this device; repeatable.", or_blank(schemas::id()), MAX_FILTER_VALUES)]

    /// Some local days.
    RangeParameters: [
        day("from", "First local day; by default 29 days before `to`, and not after it."),
        day("to", "Last local day, inclusive; by default today. At most 800 days."),
    ]

    /// One local day.
    DayParameter: [day("day", "The local day; by default today.")]

    /// Some months.
    MonthsParameters: [
        number("months", "How many months.", MOST_MONTHS, MOST_MONTHS),
        day("to", "Last local day, in the last month; by default today."),
    ]

    /// Some months, or the months of some days.
    MonthsOrDaysParameters: [
        number("months", "How many months. Only without `from`.", MOST_MONTHS, MOST_MONTHS),
        day("from", "First local day, in place of `months`. Not after `to`."),
        day("to", "Last local day, inclusive; by default today."),
    ]

    /// Some weeks.
    WeeksParameters: [
        number("weeks", "How many weeks.", WEEKS_BY_DEFAULT, MOST_WEEKS),
        day("to", "Last local day, in the last week; by default today."),
        query(
            "week_starts_on",
            "On which day weeks begin.",
            or_blank(schemas::one_of(["sun", "mon"]).default(Some("sun".into())).build()),
        ),
    ]

    /// Whether the last 7 and 30 days are asked for, too.
    RollingParameter: [
        query("rolling", "1 asks for the last 7 and 30 days too.", or_blank(schemas::one_of(["0", "1"]).build())),
    ]
}

/// The same route, whose success is described with what it says of its freshness.
pub fn saying_freshness<S>((schemas, mut paths, methods): UtoipaMethodRouter<S>) -> UtoipaMethodRouter<S> {
    for operation in operations_of(&mut paths) {
        if let Some(RefOr::T(success)) = operation.responses.responses.get_mut("200") {
            for (name, meaning) in FRESHNESS {
                let header = HeaderBuilder::new().description(Some(meaning)).schema(Some(String::schema())).build();
                success.headers.insert(name.to_owned(), RefOr::T(header));
            }
        }
    }
    (schemas, paths, methods)
}

/// A route under its name, and under the one that it has with `older` in the place of `newer`. The older one is
/// described as deprecated.
pub fn also_named<S>((schemas, paths, methods): UtoipaMethodRouter<S>, newer: &str, older: &str) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let mut renamed = Paths::new();
    for (path, item) in &paths.paths {
        renamed.paths.insert(path.replace(newer, older), item.clone());
    }
    for operation in operations_of(&mut renamed) {
        operation.operation_id = operation.operation_id.take().map(|name| name.replace(newer, older));
        operation.deprecated = Some(utoipa::openapi::Deprecated::True);
    }
    OpenApiRouter::new().routes((schemas.clone(), paths, methods.clone())).routes((schemas, renamed, methods))
}

fn operations_of(paths: &mut Paths) -> impl Iterator<Item = &mut Operation> {
    paths.paths.values_mut().flat_map(|item| {
        let PathItem { get, post, .. } = item;
        [get, post].into_iter().flatten()
    })
}
