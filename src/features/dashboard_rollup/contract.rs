//! How the contract describes what queries of reads have in common.

use utoipa::openapi::path::Parameter;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use super::cells::{CSV, Cells};
use super::range::MAX_FILTER_VALUES;
use super::week::{WEEK_START, WeekStart};
use crate::kernel::http::parameters::{header, list, query};
use crate::kernel::http::schemas;

/// The days `from` and `to`; the words say how many there may be.
pub fn days(from: &str, to: &str) -> [Parameter; 2] {
    [query("from", from, schemas::day()), query("to", to, schemas::day())]
}

/// Which buckets count.
pub fn filters() -> [Parameter; 3] {
    let model = "Count only this model; repeatable. A comma of its name is `%2C`.";
    [
        list("source", "Count only this tool; repeatable.", schemas::source(), MAX_FILTER_VALUES),
        list("model", model, schemas::model(), MAX_FILTER_VALUES),
        list("device", "Count only this device; repeatable.", schemas::id(), MAX_FILTER_VALUES),
    ]
}

/// On which day weeks begin.
pub fn week_start(meaning: &str) -> Parameter {
    let words = schemas::one_of([WeekStart::Monday, WeekStart::Sunday].map(WeekStart::as_str));
    query(WEEK_START, meaning, words.default(Some(WeekStart::default().as_str().into())))
}

/// The same in a reply.
pub fn week_starts() -> Object {
    let words = schemas::one_of([WeekStart::Monday, WeekStart::Sunday].map(WeekStart::as_str));
    words.description(Some("The day on which weeks begin.")).examples(["monday"]).build()
}

/// Whose days.
pub fn time_zone(meaning: &str) -> Parameter {
    query("time_zone", meaning, schemas::time_zone())
}

/// How names stand in a table.
pub fn csv() -> Parameter {
    let meaning =
        "Only with `Accept: text/csv`. `spreadsheet` puts an apostrophe before a model that begins like a formula.";
    let words = schemas::one_of([Cells::Plain, Cells::Spreadsheet].map(Cells::as_str));
    query(CSV, meaning, words.default(Some(Cells::Plain.as_str().into())))
}

/// What the caller has already.
pub fn if_none_match() -> Parameter {
    let tags = ObjectBuilder::new().schema_type(Type::String).examples(["W/\"q83vEjRWeJCrze8SNFZ4kKvN\""]);
    header("If-None-Match", "Validators of replies that the caller has, as `ETag` had them.", tags)
}
