//! What the page is asked that asks an operator to sign in, and what it sends.

use crate::features::dashboard_page::sign_in::{HeldForm, local_path};
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::problem::Problem;

/// Where operators' pages lie.
const HOME: &str = "/operate";
/// Forms of these are held when their session has ended.
const HELD: [&str; 2] = ["/operate/switches", "/operate/jobs"];

/// What signs an operator in.
pub struct OperatorForm {
    /// The token.
    pub token: String,
    /// Where to go afterwards.
    pub next: String,
    /// A form that waits.
    pub held: Option<HeldForm>,
}

impl std::fmt::Debug for OperatorForm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OperatorForm(…)")
    }
}

impl OperatorForm {
    /// Errors: 422 with every field that is wrong.
    pub fn parse(form: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(form, &["token", "next", "held", "held_to"], &[]);
        let token = fields.text("token", |text| {
            let text = text.trim();
            let fits = !text.is_empty() && text.len() <= 200;
            fits.then(|| text.to_owned()).ok_or(("wrong_length", "Expected 1 to 200 characters.".into()))
        });
        let mut text = |name: &str| fields.optional_text(name, |text| Ok(text.to_owned()));
        let next = operators_path(&text("next").unwrap_or_default());
        let held = text("held").zip(text("held_to")).and_then(|(held, to)| held_form(&to, &held));
        fields.finish(token.map(|token| Self { token, next, held }))
    }
}

/// Where to go after signing in. Errors: 422 for a parameter that there is none.
pub fn next_of(parameters: &[(String, String)]) -> Result<String, Problem> {
    let mut fields = FieldReader::of_query(parameters, &["next"], &[]);
    let next = fields.optional_text("next", |text| Ok(text.to_owned()));
    fields.finish(Some(operators_path(&next.unwrap_or_default())))
}

/// A path of the operators' pages; the first of them where it is none.
fn operators_path(text: &str) -> String {
    let path = local_path(text);
    let is_ours = path.strip_prefix(HOME).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if is_ours { path } else { HOME.to_owned() }
}

/// A form of the operators' pages. `None` for what none of them sends.
pub fn held_form(to: &str, fields: &str) -> Option<HeldForm> {
    HELD.iter().find_map(|below| HeldForm::below(below, to, fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_led_to_operators_pages_only() {
        for kept in ["/operate", "/operate?x=1", "/operate/jobs?cursor=a"] {
            assert_eq!(operators_path(kept), kept);
        }
        for other in ["", "/", "/settings", "/operatex", "//operate", "https://evil.example/operate", "/\\operate"] {
            assert_eq!(operators_path(other), "/operate", "{other}");
        }
    }

    #[test]
    fn only_forms_that_do_something_are_held() {
        assert!(held_form("/operate/switches/ingest", "a=b").is_some() && held_form("/operate/jobs", "a=b").is_some());
        for to in ["/operate", "/operate/sign-in", "/operate/sign-out", "/settings/zone", "/operate/jobsx"] {
            assert_eq!(held_form(to, "a=b"), None, "{to}");
        }
    }
}
