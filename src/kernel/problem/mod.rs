//! Every error, as problem+json of RFC 9457.
//!
//! A [`Problem`] rides in the extensions of a response. The outermost layer renders it once, with
//! the request's id. The chain of its causes goes to the log and never to the caller.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};
use uuid::Uuid;

mod code;

pub use code::{Code, Fault, Retry};

/// At most this many violations are listed; more would only lengthen the reply.
pub const MAX_VIOLATIONS: usize = 100;

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Violation {
    /// RFC 6901 JSON pointer into the body, or `?name` for a query parameter, or `Name:` for a header.
    #[schema(example = "/buckets/3/hour_start")]
    pub pointer: String,
    /// A stable word for the rule that was broken.
    #[schema(example = "not_a_half_hour")]
    pub code: &'static str,
    /// What was expected, in a sentence.
    pub detail: String,
}

impl Violation {
    /// A violation of rule `code` at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

/// An error on its way to the caller.
#[derive(Clone, Debug)]
pub struct Problem(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    violations: Vec<Violation>,
    retry_after_s: Option<u64>,
    headers: HeaderMap,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem whose `detail` is for this caller. It must not hold internal text.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after_s = matches!(code.retry(), Retry::After).then_some(1);
        Self(Arc::new(Inner {
            code,
            detail: detail.into(),
            violations: Vec::new(),
            retry_after_s,
            headers: HeaderMap::new(),
            source: None,
        }))
    }

    /// 422 with every violation, in order; the reply lists the first hundred.
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let detail = match violations.len() {
            1 => "One field is not acceptable; see errors.".to_owned(),
            count if count > MAX_VIOLATIONS => {
                format!("{count} violations; errors lists the first {MAX_VIOLATIONS}.")
            }
            count => format!("{count} violations; see errors."),
        };
        Self::new(Code::Invalid, detail).with(|inner| {
            inner.violations = violations;
            inner.violations.truncate(MAX_VIOLATIONS);
        })
    }

    /// 500: a bug. The source is logged, never shown.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Internal, "Something failed inside halfhour.").because(source)
    }

    /// 500: a number that would have left the house is wrong. `assertion` names what did not hold, as the metric does;
    /// what was found is logged, never shown.
    pub fn wrong_number(assertion: &'static str, found: impl std::fmt::Display) -> Self {
        metrics::counter!("halfhour_assertions_failed_total", "assertion" => assertion).increment(1);
        Self::new(Code::WrongNumber, "A number in the answer did not add up, so that there is no answer.")
            .because(format!("{assertion}: {found}"))
    }

    /// Says which fields are meant, where the code is not [`Code::Invalid`].
    #[must_use]
    pub fn violating(self, violations: Vec<Violation>) -> Self {
        self.with(|inner| inner.violations = violations)
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let source: Arc<dyn Error + Send + Sync> = Arc::from(source.into());
        self.with(|inner| inner.source = Some(source))
    }

    /// Says when to come back, in whole seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.with(|inner| inner.retry_after_s = Some(seconds))
    }

    /// Sends these header fields beside the problem, instead of those given before.
    #[must_use]
    pub fn with_headers(self, headers: HeaderMap) -> Self {
        self.with(|inner| inner.headers = headers)
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Seconds for `Retry-After`, where there is one.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    /// The violations, for callers that report them one by one.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// The database's error, where that is the cause.
    pub fn database_error(&self) -> Option<&sqlx::Error> {
        self.0.source.as_deref().and_then(|source| (source as &(dyn Error + 'static)).downcast_ref())
    }

    /// The cause and its causes, outermost first, for the log only.
    pub fn source_chain(&self) -> Option<String> {
        let first: &dyn Error = self.0.source.as_deref()?;
        let chain = std::iter::successors(Some(first), |&error| error.source());
        Some(chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }

    /// The body as the caller sees it.
    pub fn body(&self, request_id: Uuid, public_url: &str) -> ProblemBody {
        let Inner { code, detail, violations, .. } = self.0.as_ref();
        ProblemBody {
            kind: format!("{}/problems/{}", public_url.trim_end_matches('/'), code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            detail: detail.to_string(),
            instance: format!("urn:uuid:{request_id}"),
            code: code.as_str(),
            request_id,
            fault: code.fault(),
            retry: code.retry(),
            errors: violations.clone(),
        }
    }

    /// A problem for a bare status that some layer answered without one.
    pub fn from_status(status: StatusCode) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => Code::Unauthorized,
            StatusCode::FORBIDDEN => Code::WrongPrincipal,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::NOT_ACCEPTABLE => Code::NotAcceptable,
            StatusCode::CONFLICT => Code::Conflict,
            StatusCode::UPGRADE_REQUIRED => Code::UpgradeRequired,
            StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
            StatusCode::URI_TOO_LONG => Code::UriTooLong,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Code::HeadersTooLarge,
            StatusCode::PAYLOAD_TOO_LARGE => Code::BatchTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Code::Invalid,
            StatusCode::TOO_MANY_REQUESTS => Code::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Code::Overloaded,
            StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
            other if other.is_client_error() => Code::Malformed,
            _ => Code::Internal,
        };
        let detail = match code {
            Code::UnsupportedMediaType => "Send the body plain, or with `Content-Encoding: gzip` or `zstd`.",
            other => other.title(),
        };
        Self::new(code, detail)
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.code().status(), self.0.headers.clone()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Every code, for the contract.
pub fn codes() -> Object {
    let words =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Code::ALL.iter().map(|code| code.as_str())));
    words.description(Some("A stable word to program against.")).build()
}

/// RFC 9457 problem details, as every error reply carries them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A page that explains the code.
    #[serde(rename = "type")]
    #[schema(pattern = "^https?://.*/problems/[a-z_]+$")]
    pub kind: String,
    /// The same for every problem with this code.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// This occurrence: the request's id as a URN.
    #[schema(pattern = "^urn:uuid:[0-9a-f-]{36}$")]
    pub instance: String,
    /// A stable word to program against.
    #[schema(schema_with = codes)]
    pub code: &'static str,
    /// Quote this when asking for help.
    pub request_id: Uuid,
    /// Whose fault it is.
    pub fault: Fault,
    /// Whether to send it again.
    pub retry: Retry,
    /// Every violation found, at most 100; absent where no field is at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 100)]
    pub errors: Vec<Violation>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_kept_for_the_log_and_hidden_from_the_caller() {
        let problem = Problem::internal("password of the moon");
        let body = serde_json::to_string(&problem.body(Uuid::nil(), "http://h/")).unwrap();
        assert!(!body.contains("moon"), "{body}");
        assert!(body.contains(r#""type":"http://h/problems/internal""#), "{body}");
        assert_eq!(problem.source_chain().as_deref(), Some("password of the moon"));
    }

    #[test]
    fn a_hundred_and_one_violations_list_a_hundred_and_say_so() {
        let problem = Problem::invalid(vec![Violation::new("/a", "x", "y"); 101]);
        let body = problem.body(Uuid::nil(), "");
        assert_eq!((body.errors.len(), body.status), (100, 422));
        assert!(body.detail.contains("101"), "{}", body.detail);
    }
}
