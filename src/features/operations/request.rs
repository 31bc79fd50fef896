//! What operators send.

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::kernel::problem::{Code, Problem, Violation};

/// The most characters that a reason may have.
const REASON_CHARACTERS: usize = 500;

/// How to throw a switch.
#[derive(Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = SwitchSetting)]
pub struct Setting {
    /// Whether it may run.
    #[schema(example = false)]
    pub is_on: bool,
    /// Why, for the audit: 1 to 500 characters.
    #[schema(example = "disk is full, ticket 7")]
    pub reason: String,
}

impl Setting {
    /// Reads a body. Errors: 400 for what is not a JSON object, 422 with every violation.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let fields: Map<String, Value> = serde_json::from_slice(body)
            .map_err(|error| Problem::new(Code::Malformed, "The body is not a JSON object.").because(error))?;
        let mut violations = Vec::new();
        let unknown = fields.keys().filter(|name| !["is_on", "reason"].contains(&name.as_str()));
        violations.extend(unknown.map(|name| {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            Violation::new(pointer, "unknown_field", "This field is not known; there are `is_on` and `reason`.")
        }));
        let is_on = is_on(fields.get("is_on")).map_err(|violation| violations.push(violation));
        let reason = reason(fields.get("reason")).map_err(|violation| violations.push(violation));
        match (is_on, reason) {
            (Ok(is_on), Ok(reason)) if violations.is_empty() => Ok(Self { is_on, reason }),
            _ => Err(Problem::invalid(violations)),
        }
    }
}

fn is_on(value: Option<&Value>) -> Result<bool, Violation> {
    match value {
        Some(Value::Bool(is_on)) => Ok(*is_on),
        Some(_) => Err(Violation::new("/is_on", "wrong_type", "Expected true or false.")),
        None => Err(Violation::new("/is_on", "missing", "Say whether it may run.")),
    }
}

fn reason(value: Option<&Value>) -> Result<String, Violation> {
    let refuse = |code, detail| Err(Violation::new("/reason", code, detail));
    match value {
        Some(Value::String(reason)) => match reason.trim().chars().count() {
            1..=REASON_CHARACTERS if !reason.contains('\0') => Ok(reason.trim().to_owned()),
            1..=REASON_CHARACTERS => refuse("control_character", "A reason has no NUL character."),
            _ => refuse("wrong_length", "A reason has 1 to 500 characters."),
        },
        Some(_) => refuse("wrong_type", "Expected a string."),
        None => refuse("missing", "Say why: it is written into the audit."),
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
    fn a_setting_needs_a_reason_of_1_to_500_characters() {
        let with = |reason: &str| format!(r#"{{"is_on":false,"reason":"{reason}"}}"#);
        let read = Setting::parse(with(" disk ").as_bytes()).unwrap();
        assert_eq!(read, Setting { is_on: false, reason: "disk".to_owned() });
        assert!(Setting::parse(with(&"é".repeat(500)).as_bytes()).is_ok());
        for reason in ["", "   ", &"é".repeat(501)] {
            assert_eq!(violations(&with(reason)), [("/reason".to_owned(), "wrong_length")], "{reason}");
        }
        assert_eq!(violations(&with("\\u0000")), [("/reason".to_owned(), "control_character")]);
    }

    #[test]
    fn every_violation_is_named() {
        assert_eq!(
            violations(r#"{"is_on":"no","a/b":1,"reason":7}"#),
            [
                ("/a~1b".to_owned(), "unknown_field"),
                ("/is_on".to_owned(), "wrong_type"),
                ("/reason".to_owned(), "wrong_type")
            ]
        );
        assert_eq!(violations("{}"), [("/is_on".to_owned(), "missing"), ("/reason".to_owned(), "missing")]);
        for body in ["", "[]", "null", "{", "\u{fffd}"] {
            assert_eq!(Setting::parse(body.as_bytes()).unwrap_err().code(), Code::Malformed, "{body}");
        }
    }
}
