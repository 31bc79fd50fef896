//! What is said to erase a person.

use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use crate::kernel::http::field_reader::{Broken, FieldReader};
use crate::kernel::http::parameters::query;
use crate::kernel::http::schemas;
use crate::kernel::http::values::truth;
use crate::kernel::problem::{Problem, Violation};

/// The violation of a confirmation that is not the name.
const NOT_THE_NAME: (&str, &str) = ("not_the_name", "Expected your name, letter by letter, as GET /v1/me says it.");

/// How one asks to be erased.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PersonQuery {
    /// The name of the user, as a confirmation. Only a dry run may leave it out.
    pub confirm: Option<String>,
    /// Only say what would go.
    pub dry_run: bool,
}

/// How the contract describes it.
#[derive(Clone, Copy, Debug)]
pub struct PersonParameters;

impl IntoParams for PersonParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let confirm = "Your name, letter by letter. Only a dry run may leave it out.";
        vec![
            query("confirm", confirm, schemas::name()),
            query("dry_run", "`true`: only say what would go.", schemas::truth()),
        ]
    }
}

impl PersonQuery {
    /// Errors: 422 with every violation.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let mut fields = FieldReader::of_query(parameters, &["confirm", "dry_run"], &[]);
        let confirm = fields.optional_text("confirm", |text| Ok::<_, Broken>(text.to_owned()));
        let dry_run = fields.optional_text("dry_run", truth).unwrap_or(false);
        if confirm.is_none() && !dry_run && fields.violations().is_empty() {
            let detail = "Say confirm= and your name, because nothing brings back what is erased; or dry_run=true.";
            fields.refuse("confirm", ("missing", detail.into()));
        }
        fields.finish(Some(Self { confirm, dry_run }))
    }

    /// Errors: 422 where the confirmation is given and is not the name.
    pub fn confirms(&self, name: &str) -> Result<(), Problem> {
        match &self.confirm {
            Some(confirm) if confirm != name => {
                let (code, detail) = NOT_THE_NAME;
                Err(Problem::invalid(vec![Violation::new("?confirm", code, detail)]))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<PersonQuery, Problem> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        PersonQuery::parse(&parameters)
    }

    #[track_caller]
    fn assert_refused<T: std::fmt::Debug>(result: Result<T, Problem>, expected: &[(&str, &str)]) {
        let problem = result.unwrap_err();
        let found: Vec<_> = problem.violations().iter().map(|found| (found.pointer.as_str(), found.code)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn whoever_is_to_be_erased_says_the_name_or_only_looks() {
        assert_eq!(asked("confirm=ann+b").unwrap(), PersonQuery { confirm: Some("ann b".into()), dry_run: false });
        assert!(asked("dry_run=true").unwrap().dry_run);
        for missing in ["", "dry_run=false"] {
            assert_refused(asked(missing), &[("?confirm", "missing")]);
        }
        assert_refused(asked("confirm=ann&dry_run=yes"), &[("?dry_run", "not_a_boolean")]);
        assert_refused(
            asked("confirm=a&confirm=b&everything=true"),
            &[("?confirm", "repeated_parameter"), ("?everything", "unknown_parameter")],
        );
    }

    #[test]
    fn a_confirmation_is_the_name_to_the_letter_also_in_a_dry_run() {
        let query = asked("confirm=Ann&dry_run=true").unwrap();
        assert!(query.confirms("Ann").is_ok() && asked("dry_run=true").unwrap().confirms("Ann").is_ok());
        for other in ["ann", "Ann ", "", "A\u{300}nn"] {
            assert_refused(query.confirms(other), &[("?confirm", "not_the_name")]);
        }
    }
}
