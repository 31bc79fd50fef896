//! What the sign-in page is asked, and what it sends.

use super::held::{HeldForm, local_path};
use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::problem::Problem;

/// What the page is to show.
#[derive(Debug)]
pub struct SignInQuery {
    /// The code of a link.
    pub code: Option<String>,
    /// Where to go afterwards.
    pub next: String,
}

/// What signs somebody in.
#[derive(Debug)]
pub struct SignInForm {
    /// A viewer token, or a code.
    pub secret: SignInSecret,
    /// Where to go afterwards.
    pub next: String,
    /// A form that waits.
    pub held: Option<HeldForm>,
}

/// One of the two.
pub enum SignInSecret {
    /// A token's text.
    Token(String),
    /// The code of a link.
    Code(String),
}

impl std::fmt::Debug for SignInSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Token(_) => "Token(…)",
            Self::Code(_) => "Code(…)",
        })
    }
}

/// A secret is short.
fn secret(text: &str) -> Result<String, Broken> {
    let text = text.trim();
    if text.is_empty() || text.len() > 200 {
        return Err(("wrong_length", "Expected 1 to 200 characters.".into()));
    }
    Ok(text.to_owned())
}

/// What is read for itself later.
fn text_of(fields: &mut FieldReader, name: &str) -> Option<String> {
    fields.optional_text(name, |text| Ok(text.to_owned()))
}

impl SignInQuery {
    /// Errors: 422 for a parameter that there is none.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &["code", "next"], &[]);
        let code = fields.optional_text("code", secret);
        let next = text_of(&mut fields, "next");
        fields.finish(Some(Self { code, next: local_path(&next.unwrap_or_default()) }))
    }
}

impl SignInForm {
    /// Errors: 422 with every field that is wrong.
    pub fn parse(form: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(form, &["token", "code", "next", "held", "held_to"], &[]);
        let code = fields.optional_text("code", secret).map(SignInSecret::Code);
        let secret = match code {
            Some(code) => Some(code),
            None => fields.text("token", secret).map(SignInSecret::Token),
        };
        let next = local_path(&text_of(&mut fields, "next").unwrap_or_default());
        let held = text_of(&mut fields, "held").zip(text_of(&mut fields, "held_to"));
        let held = held.and_then(|(held, to)| HeldForm::of(&to, &held));
        fields.finish(secret.map(|secret| Self { secret, next, held }))
    }
}
