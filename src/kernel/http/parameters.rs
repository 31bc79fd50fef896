//! How the contract describes parameters that several routes take. A parameter that is absent has no value, so that none
//! is nullable.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, ParameterStyle};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Schema, Type};

use super::page::DEFAULT_LIMIT;
use super::schemas;

/// A parameter of a query, which may be absent.
pub fn query(name: &str, meaning: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Query, name, meaning, schema).required(Required::False).build()
}

/// The same where every request has one.
pub fn required_query(name: &str, meaning: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Query, name, meaning, schema).required(Required::True).build()
}

/// A header, which may be absent.
pub fn header(name: &str, meaning: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Header, name, meaning, schema).required(Required::False).build()
}

/// A part of the path.
pub fn path(name: &str, meaning: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(ParameterIn::Path, name, meaning, schema).required(Required::True).build()
}

/// A parameter of a query that may be repeated, or hold several values with commas between them, `most` in all.
pub fn list(name: &str, meaning: &str, item: impl Into<RefOr<Schema>>, most: usize) -> Parameter {
    listed(name, meaning, ArrayBuilder::new().items::<RefOr<Schema>>(item.into()).max_items(Some(most)))
}

/// The same where no value may come twice.
pub fn distinct_list(name: &str, meaning: &str, item: impl Into<RefOr<Schema>>, most: usize) -> Parameter {
    listed(
        name,
        meaning,
        ArrayBuilder::new().items::<RefOr<Schema>>(item.into()).max_items(Some(most)).unique_items(true),
    )
}

fn listed(name: &str, meaning: &str, items: ArrayBuilder) -> Parameter {
    let list = parameter(ParameterIn::Query, name, meaning, items.min_items(Some(1))).required(Required::False);
    list.style(Some(ParameterStyle::Form)).explode(Some(true)).build()
}

fn parameter(place: ParameterIn, name: &str, meaning: &str, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(place).description(Some(meaning)).schema(Some(schema))
}

/// Where the next page begins.
pub fn cursor() -> Parameter {
    query("cursor", "`next_cursor` of the page before, with the same parameters.", schemas::cursor())
}

/// Which page of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PageParameters;

impl IntoParams for PageParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("limit", "Entries of a page.", schemas::limit(DEFAULT_LIMIT)), cursor()]
    }
}

/// The version of a thing that is to be changed.
#[derive(Clone, Copy, Debug)]
pub struct VersionHeader;

impl IntoParams for VersionHeader {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let version = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^\"[0-9]{1,18}\"$"));
        let meaning = "The version that you have read, in quotes, as `ETag` has it.";
        let header = parameter(ParameterIn::Header, "If-Match", meaning, version.examples(["\"2\""]));
        vec![header.required(Required::True).build()]
    }
}
