//! The page that asks somebody to sign in.

use askama::Template;

use super::held::HeldForm;
use crate::features::dashboard_page::look::Frame;

/// What is to be done on it.
#[derive(Clone, Debug)]
pub enum SignInStep {
    /// To show a token.
    Token,
    /// To use the code of a link.
    Code {
        /// The code.
        code: String,
        /// Whom it signs in.
        owner: String,
    },
    /// To send what was held.
    GoOn,
}

/// The page.
#[derive(Template)]
#[template(path = "sign_in.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct SignInPage {
    frame: Frame,
    notice: Option<String>,
    step: SignInStep,
    next: String,
    held: Option<HeldForm>,
}

impl SignInPage {
    /// With `base` before every path, and leading to `next`.
    pub fn new(base: &str, step: SignInStep, next: String) -> Self {
        Self { frame: Frame::open(base, "Sign in"), notice: None, step, next, held: None }
    }

    /// With a word on what went wrong.
    #[must_use]
    pub fn saying(self, notice: impl Into<String>) -> Self {
        Self { notice: Some(notice.into()), ..self }
    }

    /// With a form that is held.
    #[must_use]
    pub fn holding(self, held: Option<HeldForm>) -> Self {
        Self { held, ..self }
    }
}
