//! How clients of other protocols are told of what went wrong.
//!
//! Those of other products read `error` and `message` and print the beginning of a body, so these come first; the members of
//! RFC 9457 follow. They send again after some statuses only, so that whatever is worth sending again has one of those. Other
//! protocols have an encoding of their own for failures.

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::body::media_type;
use super::public_url::PublicUrl;
use crate::kernel::problem::{Code, Problem, ProblemBody, Retry};

/// Words by which a client of vibeusage takes a refusal for a passing fault, and sends the same for ever.
const TAKEN_FOR_PASSING: [&str; 7] =
    ["timeout", "timed out", "deno", "econnreset", "etimedout", "failed to fetch", "fetch failed"];

/// The media type of problems where no manner says another one.
const PROBLEM_JSON: &str = "application/problem+json";
const HTML: &str = "text/html; charset=utf-8";

/// How the clients of one protocol are told, and by what they are known: whichever layer refuses a request, and whether or
/// not there is anything at its path.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How the paths begin that they ask; of a page the routes' whole patterns.
    pub paths: &'static [&'static str],
    /// What they read.
    pub form: Form,
}

/// What the clients of one protocol read.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// JSON, `error` and `message` before all.
    ErrorAndMessage {
        /// Instead of 429: what a client who called too often waits after.
        too_often: StatusCode,
    },
    /// An encoding of their own.
    Encoded {
        /// Of the requests that are answered so, and of the answers.
        media_type: &'static str,
        /// Writes a problem in it.
        write: fn(&ProblemBody) -> Vec<u8>,
    },
    /// A page for people, in HTML.
    Page {
        /// What a browser may do with it.
        policy: &'static str,
        /// Writes a problem as a page.
        write: fn(&ProblemBody, &PublicUrl) -> Vec<u8>,
    },
}

/// A problem as it is sent.
#[derive(Debug)]
pub struct Rendered {
    /// The status that the client understands.
    pub status: StatusCode,
    /// Of the body.
    pub media_type: &'static str,
    /// In the form that the client reads.
    pub body: Vec<u8>,
    /// What a browser may do with it, where that is more than to show it.
    pub policy: Option<&'static str>,
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
    /// Of several manners that of a request's caller; `None` for one who reads problem+json.
    pub fn of<'all>(request: &Request, manners: &'all [Self]) -> Option<&'all Self> {
        // Some clients put their path behind an address that ends in a slash.
        let path = percent_decode_str(request.uri().path().trim_start_matches('/')).decode_utf8_lossy();
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let asks = |manner: &Self| {
            let begins = || manner.paths.iter().any(|begins| path.starts_with(begins.trim_start_matches('/')));
            match manner.form {
                Form::ErrorAndMessage { .. } => begins(),
                Form::Encoded { media_type: wanted, .. } => begins() && media_type(request.headers()) == wanted,
                Form::Page { .. } => route.is_some_and(|route| manner.paths.contains(&route)),
            }
        };
        manners.iter().find(|manner| asks(manner))
    }
}

/// A problem whose own body is `body`, in the manner of who reads it.
pub fn rendered(problem: &Problem, body: ProblemBody, manner: Option<&Manner>, public_url: &PublicUrl) -> Rendered {
    let status = problem.code().status();
    let json = |status, body| Rendered { status, media_type: PROBLEM_JSON, body, policy: None };
    match manner.map(|manner| manner.form) {
        None => json(status, serde_json::to_vec(&body).unwrap_or_default()),
        Some(Form::Encoded { media_type, write }) => Rendered { status, media_type, body: write(&body), policy: None },
        Some(Form::ErrorAndMessage { too_often }) => {
            let status = understood(problem.code(), too_often);
            json(status, told(problem.code(), status, body))
        }
        Some(Form::Page { policy, write }) => {
            Rendered { status, media_type: HTML, body: write(&body, public_url), policy: Some(policy) }
        }
    }
}

/// The status that these clients understand.
fn understood(code: Code, too_often: StatusCode) -> StatusCode {
    match (code.status(), code.retry()) {
        (StatusCode::TOO_MANY_REQUESTS, _) => too_often,
        (status, _) if status.is_server_error() => StatusCode::SERVICE_UNAVAILABLE,
        (_, Retry::SameRequest | Retry::After) => StatusCode::SERVICE_UNAVAILABLE,
        (status, Retry::Never) => status,
    }
}

/// What these clients read of a problem.
fn told(code: Code, status: StatusCode, mut body: ProblemBody) -> Vec<u8> {
    body.status = status.as_u16();
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

    const MANNERS: &[Manner] = &[
        Manner { paths: &["/functions/a-", "/api/a"], form: READS_429 },
        Manner {
            paths: &["/v1/logs"],
            form: Form::Encoded { media_type: "application/x-b", write: |_| b"b".to_vec() },
        },
    ];
    const READS_429: Form = Form::ErrorAndMessage { too_often: StatusCode::TOO_MANY_REQUESTS };

    fn told(problem: &Problem) -> (Value, String) {
        let manner = Manner { paths: &[], form: READS_429 };
        let body = problem.body(Uuid::nil(), "http://h");
        let rendered = rendered(problem, body, Some(&manner), &PublicUrl::from("http://h"));
        let text = String::from_utf8(rendered.body).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (body["status"].as_u64(), rendered.media_type),
            (Some(rendered.status.as_u16().into()), PROBLEM_JSON)
        );
        (body, text)
    }

    #[test]
    fn callers_are_known_by_how_their_path_begins_and_by_their_encoding() {
        let form = |path: &str, media_type: &str| {
            let request = Request::builder().uri(path).header("content-type", media_type);
            let manner = Manner::of(&request.body(axum::body::Body::empty()).unwrap(), MANNERS)?;
            let problem = Problem::new(Code::NotFound, "x");
            let body = problem.body(Uuid::nil(), "");
            Some(rendered(&problem, body, Some(manner), &PublicUrl::from("http://h")).media_type)
        };
        for path in
            ["/functions/a-x", "//functions/a-x", "/functions/%61-x?b=c", "/functions/a-/", "/api/a", "/api/a/x"]
        {
            assert_eq!(form(path, "text/plain"), Some(PROBLEM_JSON), "{path}");
        }
        for path in ["/functions/b-x", "/functions//a-x", "/x/functions/a-x", "/v1/buckets", "/", "/v1/functions/a-x"] {
            assert_eq!(form(path, "application/x-b"), None, "{path}");
        }
        assert_eq!(form("/v1/logs", "Application/X-B; a=b"), Some("application/x-b"));
        assert_eq!(form("/v1/logs", "application/json"), None);
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
        for code in Code::ALL {
            let status = understood(*code, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(status == StatusCode::SERVICE_UNAVAILABLE, code.retry() != Retry::Never, "{}", code.as_str());
            assert!(status.as_u16() != 500 && status.as_u16() != 429, "{}", code.as_str());
        }
        let reads_it = understood(Code::RateLimited, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(reads_it, StatusCode::TOO_MANY_REQUESTS);
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
