//! What users send about their devices.

use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::super::name::name;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::schemas;
use crate::kernel::http::values::{MAX_NAME, line};
use crate::kernel::problem::Problem;

/// A platform has so many characters at most.
const MAX_PLATFORM: usize = 40;
/// What is kept where none is named.
const NO_PLATFORM: &str = "unknown";

/// A device to register.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// What people call it.
    #[schema(schema_with = schemas::name)]
    pub name: String,
    /// What it runs on.
    #[schema(required = false, schema_with = platform)]
    pub platform: String,
}

impl NewDevice {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["name", "platform"])?;
        let name = fields.text("name", name);
        let platform = read_platform(&mut fields);
        fields.finish(name.map(|name| Self { name, platform }))
    }
}

/// Another name for a device.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceChange {
    /// What people are to call it.
    #[schema(schema_with = schemas::name)]
    pub name: String,
    /// What it was called when it was looked at. Where it is called something else by now, that is a conflict. Without it
    /// whoever comes last decides.
    #[schema(required = false, schema_with = former_name)]
    pub former_name: Option<String>,
}

impl DeviceChange {
    /// Errors: 400 and 422.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_body(body, &["name", "former_name"])?;
        let new_name = fields.text("name", name);
        let former_name = fields.optional_text("former_name", name);
        fields.finish(new_name.map(|name| Self { name, former_name }))
    }
}

/// How the contract describes it.
fn former_name() -> Object {
    let about =
        "What it was called when it was looked at. Where it is called something else by now, that is a conflict.";
    schemas::text(schemas::LINE, MAX_NAME).description(Some(about)).examples(["laptop"]).build()
}

/// The platform that a new device may name: 1 to 40 characters, none of which is a control
/// character.
pub fn read_platform(fields: &mut FieldReader) -> String {
    let platform = fields.optional_text("platform", |text| line(text, "A platform", MAX_PLATFORM));
    platform.unwrap_or_else(|| NO_PLATFORM.to_owned())
}

/// How the contract describes it.
pub fn platform() -> Object {
    let text = schemas::text(schemas::LINE, MAX_PLATFORM).description(Some("What it runs, for people to read."));
    text.default(Some(NO_PLATFORM.into())).examples(["linux"]).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(parsed: Result<NewDevice, Problem>) -> Vec<(String, &'static str)> {
        let problem = parsed.unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    #[test]
    fn names_and_platforms_have_their_lengths_in_characters_and_no_control_characters() {
        let device = |name: &str| NewDevice::parse(serde_json::json!({"name": name}).to_string().as_bytes());
        assert_eq!(device(&"é".repeat(100)).unwrap().platform, "unknown");
        assert_eq!(found(device(&"é".repeat(101))), [("/name".to_owned(), "wrong_length")]);
        assert_eq!(found(device("")), [("/name".to_owned(), "wrong_length")]);
        for bad in ["\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(found(device(bad)), [("/name".to_owned(), "control_character")], "{bad:?}");
        }
        let both = NewDevice::parse(br#"{"name":1,"platform":"","colour":"red"}"#);
        let expected = [("/colour", "unknown_field"), ("/name", "wrong_type"), ("/platform", "wrong_length")];
        assert_eq!(found(both), expected.map(|(pointer, code)| (pointer.to_owned(), code)));
    }
}
