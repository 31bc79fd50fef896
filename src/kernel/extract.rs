//! Request bodies and queries as the slices want them; anything else is refused as a problem.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::fields::Fields;
use super::problem::{Code, Problem};

/// No body may be larger than this, decompressed, in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The bytes of a JSON body: media type and size are checked, the content is not.
///
/// Errors: 415 for another media type, 413 over [`BODY_LIMIT`], 400 when the body breaks off or does not decompress.
#[derive(Debug)]
pub struct JsonBytes(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_json) {
            return Err(Problem::new(Code::UnsupportedMediaType, "Send `Content-Type: application/json`."));
        }
        match Limited::new(request.into_body(), BODY_LIMIT).collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) => Err(refuse_body(error)),
        }
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn refuse_body(error: Box<dyn std::error::Error + Send + Sync>) -> Problem {
    let first: &(dyn std::error::Error + 'static) = error.as_ref();
    if std::iter::successors(Some(first), |&error| error.source()).any(<dyn std::error::Error>::is::<LengthLimitError>)
    {
        return Problem::new(Code::BatchTooLarge, format!("The body is larger than {BODY_LIMIT} bytes, decompressed."));
    }
    Problem::new(Code::Malformed, "The body broke off, or is not what its Content-Encoding says.").because(error)
}

/// The query's parameters, decoded, in order; repeated names stay repeated.
#[derive(Debug)]
pub struct Parameters(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}

/// For routes that take no query parameters. Errors: 422 with every parameter that there is.
#[derive(Debug)]
pub struct NoParameters;

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Parameters(parameters) = Parameters::from_request_parts(parts, state).await?;
        Fields::of_query(&parameters, &[], &[]).finish(Some(Self))
    }
}
