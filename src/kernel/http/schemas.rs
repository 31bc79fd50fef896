//! How the contract describes single values that several routes take.

use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::kernel::bucket::Source;

/// A tool's name. Which there are is data, so the contract says the form and where to read them.
pub fn source() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("The tool, by the name that `GET /v1/sources` has for it."))
        .pattern(Some(Source::PATTERN))
        .min_length(Some(1))
        .max_length(Some(64))
        .examples(["claude-code"])
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_string_of_a_form_and_of_no_list() {
        let schema = serde_json::to_value(source()).unwrap();
        assert_eq!(schema["pattern"], Source::PATTERN);
        assert_eq!((&schema["minLength"], &schema["maxLength"]), (&1.into(), &64.into()));
        assert!(schema.get("enum").is_none(), "{schema}");
        let description = schema["description"].as_str().unwrap();
        assert!(description.contains("GET /v1/sources"), "{description}");
    }
}
