//! How clients of other products are told of what went wrong. They read `error` and `message` and print the beginning of a
//! body, so these come first; the members of RFC 9457 follow. They send again after some statuses only, so that whatever is
//! worth sending again has one of those.

use axum::http::StatusCode;
use serde::Serialize;

use crate::kernel::problem::{Code, Problem, ProblemBody, Retry};

/// Words by which a client of vibeusage takes a refusal for a passing fault, and sends the same for ever.
const TAKEN_FOR_PASSING: [&str; 7] =
    ["timeout", "timed out", "deno", "econnreset", "etimedout", "failed to fetch", "fetch failed"];

/// How the clients of one product are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Instead of 429: what a client who called too often waits after.
    pub too_often: StatusCode,
}

impl Default for Manner {
    /// Of clients who know what 429 is.
    fn default() -> Self {
        Self { too_often: StatusCode::TOO_MANY_REQUESTS }
    }
}

/// Rides in the extensions of an answer whose status is above 399 and whose body is what a client of another product reads:
/// it is sent as it is.
#[derive(Clone, Copy, Debug)]
pub struct Verbatim;

/// The body, with what these clients read before the problem.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    error: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    next_actions: &'a str,
    #[serde(flatten)]
    problem: &'a ProblemBody,
}

impl Manner {
    /// The status that these clients understand.
    pub fn status(self, code: Code) -> StatusCode {
        match (code.status(), code.retry()) {
            (StatusCode::TOO_MANY_REQUESTS, _) => self.too_often,
            (status, _) if status.is_server_error() => StatusCode::SERVICE_UNAVAILABLE,
            (_, Retry::SameRequest | Retry::After) => StatusCode::SERVICE_UNAVAILABLE,
            (status, Retry::Never) => status,
        }
    }

    /// The body of a problem, whose own is `body`.
    pub fn render(self, problem: &Problem, mut body: ProblemBody) -> Vec<u8> {
        let code = problem.code();
        body.status = self.status(code).as_u16();
        if code.retry() == Retry::Never {
            unmistakable(&mut body.detail, code.title());
            for error in &mut body.errors {
                unmistakable(&mut error.detail, "This is not acceptable.");
            }
        }
        let details = body.errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect();
        let message = body.errors.first().map_or(body.detail.as_str(), |error| error.detail.as_str());
        let told = Told { error: code.as_str(), message, details, next_actions: code.advice(), problem: &body };
        serde_json::to_vec(&told).unwrap_or_default()
    }
}

/// Text that a client would take for something else gives way.
fn unmistakable(text: &mut String, otherwise: &str) {
    let lower = text.to_lowercase();
    if TAKEN_FOR_PASSING.iter().any(|word| lower.contains(word)) {
        otherwise.clone_into(text);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::kernel::problem::Violation;

    fn told(problem: &Problem) -> (Value, String) {
        let bytes = Manner::default().render(problem, problem.body(Uuid::nil(), "http://h"));
        let text = String::from_utf8(bytes).unwrap();
        (serde_json::from_str(&text).unwrap(), text)
    }

    #[test]
    fn error_and_message_come_first_and_the_problem_is_whole() {
        let problem = Problem::invalid(vec![Violation::new("/code", "unusable_code", "It was used {}.")]);
        let (body, text) = told(&problem);
        assert!(
            text.starts_with(
                r#"{"error":"invalid","message":"It was used {}.","details":["/code: It was used {}."],"nextActions":"#
            ),
            "{text}"
        );
        let whole = serde_json::to_value(problem.body(Uuid::nil(), "http://h")).unwrap();
        for (name, value) in whole.as_object().unwrap() {
            assert_eq!(&body[name], value, "{name}");
        }
    }

    #[test]
    fn whatever_is_worth_sending_again_is_503_and_nothing_else_is() {
        let strict = Manner { too_often: StatusCode::SERVICE_UNAVAILABLE };
        for code in Code::ALL {
            let status = strict.status(*code);
            assert_eq!(status == StatusCode::SERVICE_UNAVAILABLE, code.retry() != Retry::Never, "{}", code.as_str());
            assert!(status.as_u16() != 500 && status.as_u16() != 429, "{}", code.as_str());
        }
        assert_eq!(Manner::default().status(Code::RateLimited), StatusCode::TOO_MANY_REQUESTS);
        let (body, _) = told(&Problem::new(Code::DeadlineExceeded, "x"));
        assert_eq!(body["status"], 503);
    }

    #[test]
    fn no_lasting_refusal_has_a_word_that_is_taken_for_a_passing_fault() {
        for code in Code::ALL.iter().filter(|code| code.retry() == Retry::Never) {
            let detail = "The device `Deno` Timed Out.";
            let problem = Problem::invalid(vec![Violation::new("/x", "y", detail)]);
            for problem in [Problem::new(*code, detail), problem, Problem::new(*code, code.title())] {
                let text = told(&problem).1.to_lowercase();
                let found = TAKEN_FOR_PASSING.iter().find(|word| text.contains(*word));
                assert_eq!(found, None, "{text}");
            }
        }
    }
}
