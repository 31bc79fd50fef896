//! The page that asks an operator to sign in.

use askama::Template;

use crate::features::dashboard_page::look::Frame;
use crate::features::dashboard_page::sign_in::HeldForm;

/// The page.
#[derive(Template)]
#[template(path = "operate_sign_in.html", config = "src/features/dashboard_page/look/askama.toml")]
pub struct OperatorSignInPage {
    frame: Frame,
    notice: Option<String>,
    next: String,
    held: Option<HeldForm>,
    /// Whether somebody is signed in by now, so that what was held can go on.
    goes_on: bool,
}

impl OperatorSignInPage {
    /// With `base` before every path, and leading to `next`.
    pub fn new(base: &str, next: String) -> Self {
        let frame = Frame::open(base, "Sign in as an operator");
        Self { frame, notice: None, next, held: None, goes_on: false }
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

    /// Once somebody is signed in.
    #[must_use]
    pub fn going_on(self) -> Self {
        Self { goes_on: true, ..self }
    }
}
