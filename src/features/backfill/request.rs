//! What the list of what did not go as planned is asked for.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::job::ExceptionKind;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::page::Page;
use crate::kernel::http::parameters::query;
use crate::kernel::http::schemas;
use crate::kernel::problem::Problem;

/// One page of a job's exceptions.
#[derive(Debug, PartialEq, Eq)]
pub struct ExceptionsPage {
    /// Which part.
    pub page: Page,
    /// Only these; `None` for all.
    pub kind: Option<ExceptionKind>,
}

/// How the contract describes what is said besides the page.
#[derive(Clone, Copy, Debug)]
pub struct ExceptionsParameters;

impl IntoParams for ExceptionsParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![query("kind", "Only these.", schemas::one_of(ExceptionKind::ALL.map(ExceptionKind::as_str)))]
    }
}

impl ExceptionsPage {
    /// Reads the query's parameters. Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &["kind", "limit", "cursor"], &[]);
        let kind = fields.optional_text("kind", |text| {
            ExceptionKind::parse(text).ok_or(("unknown_kind", "Expected one of poisoned, skipped, kept.".into()))
        });
        let page = Page::read(&mut fields);
        fields.finish(Some(Self { page, kind }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_kind_that_there_is_and_is_a_page_like_any_other() {
        let parse = |query: &str| {
            let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            ExceptionsPage::parse(&parameters)
        };
        assert_eq!(parse("").unwrap().kind, None);
        assert_eq!(parse("limit=1000&kind=kept").unwrap().kind, Some(ExceptionKind::Kept));
        let refused = parse("limit=0&kind=x&kind=kept&page=3").unwrap_err();
        let found: Vec<_> =
            refused.violations().iter().map(|violation| (violation.pointer.as_str(), violation.code)).collect();
        let expected = [
            ("?kind", "repeated_parameter"),
            ("?page", "unknown_parameter"),
            ("?kind", "unknown_kind"),
            ("?limit", "out_of_range"),
        ];
        assert_eq!(found, expected);
    }
}
