//! What operators send about tools.

use utoipa::openapi::{Object, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::kernel::bucket::Source;
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::schemas;
use crate::kernel::http::values::{MAX_NAME, source, trimmed_line};
use crate::kernel::problem::Problem;

const FIELDS: [&str; 2] = ["name", "title"];

/// The tool that a path names, as the contract describes it.
#[derive(Clone, Copy, Debug)]
pub struct SourceName;

impl ToSchema for SourceName {}

impl PartialSchema for SourceName {
    fn schema() -> RefOr<Schema> {
        schemas::source().into()
    }
}

/// A tool to allow.
#[derive(Debug, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSource {
    /// What buckets call it.
    #[schema(schema_with = schemas::source)]
    pub name: Source,
    /// What people call it; `None` where it keeps its title, or is called by its name.
    #[schema(required = false, schema_with = title_schema)]
    pub title: Option<String>,
}

impl NewSource {
    /// Reads a body. Errors: 400 for what is not a JSON object, 422 with every violation.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        Self::read(FieldReader::of_body(body, &FIELDS)?)
    }

    /// The same from a command. Errors: 422 with every violation.
    pub fn of(name: &str, title: Option<&str>) -> Result<Self, Problem> {
        let given = title.map(|title| ("title".to_owned(), title.to_owned()));
        let parameters: Vec<_> = [("name".to_owned(), name.to_owned())].into_iter().chain(given).collect();
        Self::read(FieldReader::of_query(&parameters, &FIELDS, &[]))
    }

    fn read(mut fields: FieldReader) -> Result<Self, Problem> {
        let name = fields.text("name", source);
        let title = fields.optional_text("title", title);
        fields.finish(name.map(|name| Self { name, title }))
    }
}

fn title(text: &str) -> Result<String, Broken> {
    trimmed_line(text, "A title", MAX_NAME)
}

fn title_schema() -> Object {
    let about = "What people call it: one line of text. Blanks around it are cut off. Without it a tool keeps its title, or \
        is called by its name.";
    schemas::trimmed_line(MAX_NAME).description(Some(about)).examples(["Windsurf"]).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(parsed: Result<NewSource, Problem>) -> Vec<(String, &'static str)> {
        let problem = parsed.unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn a_tool_has_a_well_formed_name_and_a_title_if_any() {
        let windsurf = Source::parse("windsurf").unwrap();
        let read = NewSource::parse(br#"{"name":"windsurf","title":" Wind \u98a8 "}"#).unwrap();
        assert_eq!(read, NewSource { name: windsurf, title: Some("Wind 風".to_owned()) });
        assert_eq!(NewSource::of("windsurf", None).unwrap(), NewSource { name: windsurf, title: None });
        for (body, expected) in [
            ("{}", vec![("/name", "missing")]),
            (r#"{"name":7,"title":7}"#, vec![("/name", "wrong_type"), ("/title", "wrong_type")]),
            (r#"{"name":"Wind surf","title":" "}"#, vec![("/name", "malformed_source"), ("/title", "wrong_length")]),
            (r#"{"name":"a","title":null}"#, vec![("/title", "wrong_type")]),
            (r#"{"name":"a","title":"a\nb","x":1}"#, vec![("/title", "control_character"), ("/x", "unknown_field")]),
        ] {
            let mut found = violations(NewSource::parse(body.as_bytes()));
            found.sort_unstable();
            assert_eq!(
                found,
                expected.iter().map(|(at, code)| ((*at).to_owned(), *code)).collect::<Vec<_>>(),
                "{body}"
            );
        }
        let long = "é".repeat(101);
        let found = violations(NewSource::of("-", Some(&long)));
        assert_eq!(found.iter().map(|(_, code)| *code).collect::<Vec<_>>(), ["malformed_source", "wrong_length"]);
    }
}
