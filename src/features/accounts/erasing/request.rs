//! What a user asks to have deleted.

use chrono::NaiveDate;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};
use uuid::Uuid;

use crate::kernel::bucket::Source;
use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::parameters::query;
use crate::kernel::http::schemas;
use crate::kernel::http::values::{date, source, truth, uuid};
use crate::kernel::problem::Problem;

/// What of one's own usage is to be deleted. Everything that is given must match.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ErasureQuery {
    /// Only of this device.
    pub device: Option<Uuid>,
    /// Only of this tool.
    pub source: Option<Source>,
    /// From this local day on.
    pub from: Option<NaiveDate>,
    /// Up to this local day, inclusive.
    pub to: Option<NaiveDate>,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

/// How the contract describes it.
#[derive(Clone, Copy, Debug)]
pub struct ErasureParameters;

impl IntoParams for ErasureParameters {
    fn into_params(_place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let everything = "`true` where nothing else is given: all of it. Not beside a part.";
        vec![
            query("device", "Only of this device.", schemas::id()),
            query("source", "Only of this tool.", schemas::source()),
            query("from", "From this local day on, in the zone of `/v1/me`.", schemas::day()),
            query("to", "Up to this local day, inclusive.", schemas::day()),
            query("everything", everything, schemas::truth()),
            query("dry_run", "`true`: only say what would be deleted.", schemas::truth()),
        ]
    }
}

impl ErasureQuery {
    /// Errors: 422 with every violation. Deleting everything has to be asked for in so many words.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, Problem> {
        let known = ["device", "source", "from", "to", "everything", "dry_run"];
        let mut fields = FieldReader::of_query(parameters, &known, &[]);
        let erasure = Self {
            device: fields.optional_text("device", uuid),
            source: fields.optional_text("source", source),
            from: fields.optional_text("from", date),
            to: fields.optional_text("to", date),
            dry_run: fields.optional_text("dry_run", truth).unwrap_or(false),
        };
        let everything = fields.optional_text("everything", truth).unwrap_or(false);
        let named = ["device", "source", "from", "to"].iter().any(|name| fields.get(name).is_some());
        if named && everything {
            fields.refuse("everything", ("contradiction", "Everything, or a part: not both.".into()));
        } else if !named && !everything {
            let detail = "Name a device, a source, from or to; or say everything=true.";
            fields.refuse("everything", ("missing", detail.into()));
        }
        if let (Some(from), Some(to)) = (erasure.from, erasure.to)
            && from > to
        {
            let detail = format!("from ({from}) must not be after to ({to}).");
            fields.refuse("from", ("range_is_reversed", detail.into()));
        }
        fields.finish(Some(erasure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(parsed: Result<ErasureQuery, Problem>) -> Vec<(String, &'static str)> {
        let problem = parsed.unwrap_err();
        problem.violations().iter().map(|violation| (violation.pointer.clone(), violation.code)).collect()
    }

    fn erasure(query: &str) -> Result<ErasureQuery, Problem> {
        let parameters: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        ErasureQuery::parse(&parameters)
    }

    #[test]
    fn an_erasure_says_what_or_everything_and_not_both() {
        assert!(erasure("everything=true").is_ok() && erasure("source=codex&dry_run=true").unwrap().dry_run);
        assert!(erasure("source=no-tool-of-today").is_ok(), "history is erasable, whatever wrote it");
        for nothing in ["", "everything=false", "dry_run=true"] {
            assert_eq!(found(erasure(nothing)), [("?everything".to_owned(), "missing")], "{nothing}");
        }
        assert_eq!(found(erasure("everything=true&from=2026-11-01")), [("?everything".to_owned(), "contradiction")]);
        let expected = [
            ("?colour", "unknown_parameter"),
            ("?device", "not_a_uuid"),
            ("?source", "malformed_source"),
            ("?from", "not_a_date"),
            ("?dry_run", "not_a_boolean"),
        ];
        let query = "device=7&source=Emacs&from=2026-2-1&dry_run=yes&colour=red";
        assert_eq!(found(erasure(query)), expected.map(|(at, code)| (at.to_owned(), code)));
        assert_eq!(found(erasure("from=2026-11-02&to=2026-11-01")), [("?from".to_owned(), "range_is_reversed")]);
    }
}
