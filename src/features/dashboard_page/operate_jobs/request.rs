//! What the forms of jobs say.

use uuid::Uuid;

use crate::kernel::http::field_reader::FieldReader;
use crate::kernel::http::values::uuid;
use crate::kernel::problem::{Code, Problem, Violation};

/// The job that a path names. Errors: 404.
pub fn job_named(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::new(Code::NotFound, "There is no such job."))
}

/// The version that was looked at. Errors: 428 where the form does not say, 422 where it is none.
pub fn seen_version(form: &[(String, String)]) -> Result<i64, Problem> {
    let mut fields = FieldReader::of_query(form, &["version"], &[]);
    if fields.violations().is_empty() && fields.get("version").is_none() {
        let detail = "The form does not say which version of the job was looked at. Send it from the job’s page.";
        return Err(Problem::new(Code::PreconditionRequired, detail));
    }
    let version = fields.text("version", |text| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|_| digits).ok_or(("not_a_version", "Expected a number.".into()))
    });
    fields.finish(version)
}

/// What a form plans: the key of the form, and the order with what was left empty left out.
pub type FormOrder = (Uuid, Vec<(String, String)>);

/// What a form plans. An import has buckets, and a merge devices, which no form has.
const PLANNED_HERE: [&str; 3] = ["verify", "replay", "reprice"];

/// Reads such a form. What is ordered is judged where it is planned. Errors: 422 for a key that is missing, wrong or twice,
/// and for what no form plans.
pub fn form_order(form: &[(String, String)]) -> Result<FormOrder, Problem> {
    let mut keys = form.iter().filter(|(name, _)| name == "key").map(|(_, value)| value);
    let key = keys.next().filter(|_| keys.next().is_none()).and_then(|key| uuid(key).ok());
    let key = key.ok_or_else(|| {
        let detail = "The form has no key of its own. Send it from the page.";
        Problem::invalid(vec![Violation::new("?key", "not_a_uuid", detail)])
    })?;
    let mut actions = form.iter().filter(|(name, _)| name == "action").map(|(_, action)| action.as_str());
    if !actions.all(|action| PLANNED_HERE.contains(&action)) {
        let detail =
            "Expected one of verify, replay, reprice. Imports and merges are planned by a command or by the API.";
        return Err(Problem::invalid(vec![Violation::new("?action", "not_planned_here", detail)]));
    }
    let said = form.iter().filter(|(name, value)| name != "key" && !value.trim().is_empty());
    Ok((key, said.map(|(name, value)| (name.clone(), spelled(name, value))).collect()))
}

/// Users may stand on lines of their own, or with spaces between them.
fn spelled(name: &str, value: &str) -> String {
    if name != "user_ids" {
        return value.trim().to_owned();
    }
    let ids = value.split([',', ' ', '\t', '\r', '\n']).filter(|id| !id.is_empty());
    ids.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "01a1fbd2-0c6a-74cb-bc08-001fcbebbdc2";

    fn form(query: &str) -> Vec<(String, String)> {
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_form_says_which_version_was_looked_at() {
        assert_eq!(seen_version(&form("version=7")).unwrap(), 7);
        for (query, code) in [
            ("", Code::PreconditionRequired),
            ("version=", Code::Invalid),
            ("version=-1", Code::Invalid),
            ("version=%2B1", Code::Invalid),
            ("version=1&version=2", Code::Invalid),
            ("version=99999999999999999999", Code::Invalid),
            ("version=1&x=2", Code::Invalid),
        ] {
            assert_eq!(seen_version(&form(query)).unwrap_err().code(), code, "{query}");
        }
    }

    #[test]
    fn what_is_left_empty_is_not_ordered_and_users_may_stand_anywhere() {
        let (key, order) =
            form_order(&form(&format!("key={KEY}&action=replay&book=&reason=+x+&user_ids=a%0D%0Ab,+c"))).unwrap();
        assert_eq!(key.to_string(), KEY);
        let expected = [("action", "replay"), ("reason", "x"), ("user_ids", "a,b,c")];
        assert_eq!(order, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let actions = ["import", "merge", "", "Replay"].map(|action| format!("key={KEY}&action={action}"));
        let keys = ["", "key=", "key=x", &format!("key={KEY}&key={KEY}")].map(str::to_owned);
        for bad in actions.iter().chain(&keys) {
            assert_eq!(form_order(&form(bad)).unwrap_err().code(), Code::Invalid, "{bad}");
        }
    }
}
