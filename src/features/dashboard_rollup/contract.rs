//! How the contract describes what queries and answers of reads have in common.

use std::collections::BTreeMap;

use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{Object, ObjectBuilder, RefOr, Response, ResponseBuilder, Type};
use utoipa::{IntoParams, IntoResponses, PartialSchema};

use super::cells::{CSV, Cells};
use super::week::{WEEK_START, WeekStart};
use crate::kernel::http::field_reader::MAX_FILTER_VALUES;
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

/// On which day weeks begin. What may not be said beside everything has no `default`: generated clients say it.
pub fn week_start(meaning: &str) -> Parameter {
    let words = schemas::one_of([WeekStart::Monday, WeekStart::Sunday].map(WeekStart::as_str));
    let meaning = format!("{meaning} By default `{}`.", WeekStart::default().as_str());
    query(WEEK_START, &meaning, words)
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
    let meaning = "Only with `Accept: text/csv`: `plain` by default; `spreadsheet` puts an apostrophe before a model that \
        begins like a formula.";
    query(CSV, meaning, schemas::one_of([Cells::Plain, Cells::Spreadsheet].map(Cells::as_str)))
}

/// What the caller has already.
pub fn if_none_match() -> Parameter {
    let tags = ObjectBuilder::new().schema_type(Type::String).examples(["W/\"q83vEjRWeJCrze8SNFZ4kKvN\""]);
    header("If-None-Match", "Validators of replies that the caller has, as `ETag` had them.", tags)
}

/// A range of days, and which buckets count.
#[derive(Clone, Copy, Debug)]
pub struct RangeParameters;

impl IntoParams for RangeParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let from = "First local day; by default 29 days before `to`, and not after it.";
        let to = "Last local day, inclusive; by default today. At most 800 days.";
        let mut parameters = Vec::from(days(from, to));
        parameters.extend(filters());
        parameters.push(if_none_match());
        parameters
    }
}

/// 304, of replies that have a validator.
#[derive(Clone, Copy, Debug)]
pub struct NotModified;

impl IntoResponses for NotModified {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let response = ResponseBuilder::new()
            .description("The caller has this reply already; it is true as of `Date`.")
            .header("ETag", told::<String>("A weak validator."))
            .header("Date", told::<String>("The instant as of which the caller's copy is still true."))
            .header("Halfhour-As-Of", told::<String>("`as_of`: everything acknowledged before it is here."))
            .header("Halfhour-Pending", told::<bool>("`pending`: newer changes wait to be folded."))
            .header("Halfhour-Version", told::<i64>("`version` of the rollup."));
        BTreeMap::from([("304".to_owned(), RefOr::T(response.build()))])
    }
}

fn told<T: PartialSchema>(meaning: &str) -> Header {
    HeaderBuilder::new().schema(Some(T::schema())).description(Some(meaning)).build()
}
