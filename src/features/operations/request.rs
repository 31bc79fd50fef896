//! What operators send.

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::kernel::http::field_reader::{FieldReader, Value};
use crate::kernel::http::schemas;
use crate::kernel::http::values::reason;
use crate::kernel::operations::switches::Switch;
use crate::kernel::problem::Problem;

/// The switch that a path names, as the contract describes it.
#[derive(Clone, Copy, Debug)]
pub struct SwitchName;

impl ToSchema for SwitchName {}

impl PartialSchema for SwitchName {
    fn schema() -> RefOr<Schema> {
        schemas::one_of(Switch::ALL.map(Switch::as_str)).into()
    }
}

/// How to throw a switch.
#[derive(Debug, PartialEq, Eq, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SwitchSetting)]
pub struct Setting {
    /// Whether it may run.
    #[schema(example = false)]
    pub is_on: bool,
    #[schema(schema_with = schemas::reason)]
    pub reason: String,
}

impl Setting {
    /// Reads a body. Errors: 400 for what is not a JSON object, 422 with every violation.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["is_on", "reason"])?;
        let is_on = fields.required("is_on", Value::truth);
        let reason = fields.text("reason", reason);
        fields.finish(is_on.zip(reason).map(|(is_on, reason)| Self { is_on, reason }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(body: &str) -> Vec<(String, &'static str)> {
        let problem = Setting::parse(body.as_bytes()).unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn a_setting_says_what_and_why() {
        let read = Setting::parse(br#"{"is_on":false,"reason":" disk "}"#).unwrap();
        assert_eq!(read, Setting { is_on: false, reason: "disk".to_owned() });
        for (body, expected) in [
            ("{}", [("/is_on", "missing"), ("/reason", "missing")]),
            (r#"{"is_on":"no","reason":7}"#, [("/is_on", "wrong_type"), ("/reason", "wrong_type")]),
            (r#"{"is_on":null,"reason":" "}"#, [("/is_on", "wrong_type"), ("/reason", "wrong_length")]),
            (
                r#"{"is_on":true,"is_on":false,"reason":"a\nb"}"#,
                [("/is_on", "duplicate_field"), ("/reason", "control_character")],
            ),
        ] {
            assert_eq!(violations(body), expected.map(|(pointer, code)| (pointer.to_owned(), code)), "{body}");
        }
    }
}
